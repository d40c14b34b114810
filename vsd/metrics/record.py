"""What is known of one sample after it was decoded, or why it could not be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vsd.metrics.audit import Audit
from vsd.types import Grid, Round, Sample, Score, Span, Trace


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finished sample. Either `trace` or `failure` is set; texts that could not be scored stay beside the failure.

    `baseline` is the target's own decode of the same sample (None when the run does not measure it); its rounds are
    dropped, since each would say "one token". `audit` says why their tokens differ, where they must not (see
    `vsd.metrics.audit`). `pieces` are the texts of the single tokens. `scores` and `baseline_scores` are what the data
    set's scorer says of the two texts, by name, and `fact_tokens` which tokens of the first one state a fact, where the
    data set tells (see `vsd.data.scoring`). `peak_mb` is the job's peak memory so far, in MiB.
    `video_stamp` tells the video's file from another one under its name (see `vsd.utils.fingerprint.file_stamp`).
    """

    sample: Sample
    trace: Trace | None = None
    baseline: Trace | None = None
    text: str = ""
    pieces: tuple[str, ...] = ()
    baseline_text: str = ""
    scores: Mapping[str, Score] = field(default_factory=dict)
    baseline_scores: Mapping[str, Score] = field(default_factory=dict)
    fact_tokens: tuple[bool, ...] = ()
    audit: Audit | None = None
    failure: str = ""
    warnings: tuple[str, ...] = ()
    peak_mb: float = 0.0
    video_stamp: str = ""

    @property
    def mismatched(self) -> bool:
        """Whether the tokens are others than the target's own."""
        return self.trace is not None and self.baseline is not None and self.trace.tokens != self.baseline.tokens

    @property
    def done(self) -> bool:
        return self.trace is not None


def without_rounds(trace: Trace) -> Trace:
    """The trace without its rounds: all that is kept of a baseline."""
    return replace(trace, rounds=())


def to_dict(record: Record) -> dict[str, Any]:
    """The record as JSON-ready types; `from_dict` reads it back."""
    return asdict(record)


def from_dict(row: Mapping[str, Any]) -> Record:
    """The record that `to_dict` wrote."""
    return Record(
        sample=_sample(row["sample"]),
        trace=trace_from(row["trace"]),
        baseline=trace_from(row["baseline"]),
        text=row["text"],
        pieces=tuple(row["pieces"]),
        baseline_text=row["baseline_text"],
        scores=_scores(row["scores"]),
        baseline_scores=_scores(row["baseline_scores"]),
        fact_tokens=tuple(row.get("fact_tokens", ())),
        audit=Audit(**row["audit"]) if row.get("audit") else None,
        failure=row["failure"],
        warnings=tuple(row["warnings"]),
        peak_mb=row["peak_mb"],
        video_stamp=row["video_stamp"],
    )


def trace_from(row: Mapping[str, Any] | None) -> Trace | None:
    """A trace read back from JSON; None stays None."""
    if row is None:
        return None
    rounds = tuple(Round(**{name: _frozen(value) for name, value in entry.items()}) for entry in row["rounds"])
    seen = {"grid": Grid(*row.get("grid", (0, 0, 0))), "kept_K": tuple(row.get("kept_K", ()))}
    return Trace(**{**row, **seen, "tokens": tuple(row["tokens"]), "rounds": rounds})


def _sample(row: Mapping[str, Any]) -> Sample:
    return Sample(**{**row, "options": tuple(row["options"]), "span": Span(*row.get("span", ()))})


def _scores(row: Mapping[str, Any]) -> dict[str, Score]:
    return {name: Score(*pair) for name, pair in row.items()}


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _frozen(each) for name, each in value.items()}
    return tuple(value) if isinstance(value, list) else value
