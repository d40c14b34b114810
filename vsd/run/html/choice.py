"""Which samples a page shows: those to look at first, of each kind one, then the next of each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from vsd.metrics import metric_of
from vsd.metrics.record import Record
from vsd.metrics.registry import Sums
from vsd.metrics.sums import sums_of
from vsd.metrics.texts import agreement
from vsd.run.results.run import Run
from vsd.utils.faults import left_out

SAMPLES = 6  # of a page


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded sample of a run with the numbers by which it may be chosen; None where one is not defined. `worth` is
    what its text is worth, the lower the worse: against the target's own first, then by the reference."""

    run: Run
    record: Record
    speed: float | None
    accepted: float | None
    worth: tuple[float, ...] | None


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A sample that is shown, and why."""

    decoded: Decoded
    why: tuple[str, ...]


def chosen(runs: Sequence[Run], count: int) -> list[Chosen]:
    """At most `count` of all decoded samples of these runs; the first one where none stands out."""
    every = [_decoded(run, record) for run in runs for record in run.records if record.done]
    found = dict[int, Chosen]()
    for row in zip_longest(*(_kind(every, *kind) for kind in _KINDS)):
        for why, one in filter(None, row):
            past = found.get(id(one))
            if past and not why.endswith(")"):
                found[id(one)] = Chosen(decoded=one, why=(*past.why, why))
            elif not past and len(found) < count:
                found[id(one)] = Chosen(decoded=one, why=(why,))
        if len(found) >= count:
            break
    return list(found.values()) or [Chosen(decoded=one, why=("the first",)) for one in every[: min(count, 1)]]


def _kind(every: Sequence[Decoded], why: str, key: Callable[[Decoded], object]) -> list[tuple[str, Decoded]]:
    """The samples of one kind, the most telling first: by the lowest key that is not None; none where all are alike."""
    known = [(key(one), one) for one in every if key(one) is not None]
    if len({value for value, _ in known}) < 2 and not why.endswith("own"):
        return []
    known.sort(key=lambda pair: pair[0])  # type: ignore[arg-type, return-value]
    return [(why if not place else f"{why} ({place + 1})", one) for place, (_, one) in enumerate(known)]


def _unlike(one: Decoded) -> tuple[bool, float] | None:
    """Of a generation that is not the target's own: unexplained ones first, then the least alike."""
    record = one.record
    if not record.mismatched or record.trace is None or record.baseline is None:
        return None
    explained = record.audit is not None and record.audit.explained
    return explained, agreement(record.trace.tokens, record.baseline.tokens)


_KINDS: tuple[tuple[str, Callable[[Decoded], object]], ...] = (
    ("not the target's own", _unlike),
    ("worst in quality", lambda one: one.worth),
    ("fewest accepted", lambda one: one.accepted),
    ("slowest", lambda one: one.speed),
    ("fastest", lambda one: None if one.speed is None else -one.speed),
)


def _decoded(run: Run, record: Record) -> Decoded:
    sums = Sums(sums_of(record))
    speed = _value("speed/decode", sums) if record.baseline else _value("speed/tokens_per_s", sums)
    return Decoded(
        run=run, record=record, speed=speed, accepted=_value("accept/draft_length", sums), worth=_worth(record)
    )


def _worth(record: Record) -> tuple[float, ...] | None:
    """By the data set's first score: less what the target alone has, then as it is."""
    for name, score in record.scores.items():
        if score.asked:
            ours, alone = score.right / score.asked, record.baseline_scores.get(name)
            return (ours - alone.right / alone.asked if alone and alone.asked else 0.0), ours
    return None


def _value(name: str, sums: Sums) -> float | None:
    metric = metric_of(name)
    assert metric is not None, name
    with left_out(f"{name} of a sample"):
        value = float(metric.value(sums))
        return value if value == value else None
    return None
