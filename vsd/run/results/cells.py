"""How dials and metrics stand in tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from vsd.metrics import METRICS, Summary, metric_of
from vsd.run.report.headline import plus_minus
from vsd.run.results.run import Run, State

_LONGEST = 28  # letters of a name in a picture
_EXACT, _QUALITY = "exact/mismatched", "quality/retention"
HEADLINE = (_EXACT, "speed/decode", "speed/end_to_end", "accept/draft_length", _QUALITY)
"""What is asked of a run first."""

_SHORT = {
    "accept/length": "per round",
    "accept/draft_length": "accepted",
    "accept/rate": "rate",
    "speed/decode": "decode",
    "speed/end_to_end": "end to end",
    "speed/ttft": "first token",
    "exact/mismatched": "differ",
    "quality/retention": "kept quality",
    "speed/tokens_per_s": "tokens/s",
    "speed/baseline_tokens_per_s": "tokens/s alone",
    "prune/kept": "kept",
    "parallel/wasted": "wasted",
    "quality/agreement": "agreement",
    "samples/done": "done",
    "samples/failed": "failed",
}


STATES: dict[State, str] = {"done": "green", "failed": "red", "interrupted": "yellow", "unfinished": "yellow"}
"""How a run may have ended, and in which colour that is said."""


def headline_of(runs: Sequence[Run]) -> tuple[str, ...]:
    """What is asked of these runs first: not what quality they keep if all generations are the target's own."""
    same = all(run.summary.values.get(_EXACT) == 0 for run in runs if run.summary.values.get("samples/done"))
    return tuple(name for name in HEADLINE if not (same and name == _QUALITY))


def check_metrics(option: str, names: Iterable[str]) -> None:
    """Raise ValueError for the first of these names, given by an option of a command, that no metric has."""
    unknown = next((name for name in names if metric_of(name) is None), None)
    if unknown is not None:
        known = {word: name for name in METRICS for word in (name, heading(name), METRICS[name].label)}
        near = get_close_matches(unknown, known, n=1, cutoff=0.65)
        meant = f" (did you mean {known[near[0]]}?)" if near else ""
        raise ValueError(f"{option}: must be metrics (docs/metrics.md), got {unknown!r}{meant}")


def heading(name: str) -> str:
    """A narrow one; any other metric's is its name."""
    return _SHORT.get(name, name)


def cell(summary: Summary, name: str) -> str:
    """The value with its standard error; a dash where it is not defined."""
    metric = metric_of(name)
    return "–" if metric is None or name not in summary.values else plus_minus(metric, summary)


def written(value: Any) -> str:
    """A dial's value as the command line has it."""
    if value is None:
        return "null"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(written, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def shortened(text: str) -> str:
    """The text as far as a picture has room for it."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
