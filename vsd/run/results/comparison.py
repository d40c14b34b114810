"""Two runs on the samples that both have: differences, and whether they are told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from vsd.metrics import METRICS, Estimate, Metric, by_video, estimate, metric_of
from vsd.metrics.record import Record
from vsd.metrics.registry import Sums, Value, ratio
from vsd.metrics.resampling import Videos
from vsd.run.results.run import Run

LEVEL = 0.95
Verdict = Literal["better", "worse", "higher", "lower", "the same", "not told apart"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A metric of two runs on the same samples. `by` is the second less the first, or over it for speeds (`as_ratio`),
    with its standard error and interval; `videos` how many both have."""

    metric: Metric
    first: float
    second: float
    by: Estimate
    as_ratio: bool
    videos: int

    @property
    def verdict(self) -> Verdict:
        """Which way the second one differs, if by more than chance explains at the level of 95%: Student's t with the
        bootstrap's error, which counts few videos as few."""
        off = self.by.value - (1.0 if self.as_ratio else 0.0)
        if self.first == self.second:
            return "the same"
        if self.metric.name.startswith("memory/"):
            return "higher" if off > 0 else "lower"  # the largest of a run: it has no error
        if not told_apart(off, self.by.error, self.videos):
            return "not told apart"
        if self.metric.better == "neither":
            return "higher" if off > 0 else "lower"
        return "better" if (off > 0) == (self.metric.better == "higher") else "worse"


def interval(by: Estimate, videos: int) -> tuple[float, float]:
    """The ends of the interval outside of which chance explains a difference at LEVEL, as `told_apart` has it."""
    half = _half_width(by.error, videos)
    return by.value - half, by.value + half


def _half_width(error: float, videos: int) -> float:
    """Half the interval of a mean over so many videos. `error` is the bootstrap's, of draws that are as large as the
    sample, and so a little too small."""
    return float(stats.t.ppf(0.5 + LEVEL / 2, videos - 1)) * error * math.sqrt(videos / (videos - 1))


def told_apart(difference: float, error: float, videos: int) -> bool:
    """Whether a mean difference over so many videos is more than chance explains at LEVEL."""
    if videos < 2 or not math.isfinite(error):
        return False
    if error == 0:
        return difference != 0
    return abs(difference) > _half_width(error, videos)


def common(first: Run, second: Run) -> tuple[list[Record], list[Record]]:
    """The samples that both runs have finished: the same question about the same part of a video."""
    theirs = {_key(record): record for record in second.records if record.done}
    both = [record for record in first.records if record.done and _key(record) in theirs]
    return both, [theirs[_key(record)] for record in both]


def compared(first: Run, second: Run, names: Sequence[str] = ()) -> list[Difference]:
    """The metrics of both runs that are defined, or these of them, on their common samples."""
    ours, theirs = map(_sums, (first, second), common(first, second))
    chosen = [metric for name in names if (metric := metric_of(name))] if names else [*METRICS.values()]
    found = [_difference(metric, ours, theirs) for metric in chosen]
    return [each for each in found if math.isfinite(each.first) and math.isfinite(each.second)]


def is_behind(best: Run, other: Run, name: str) -> bool | None:
    """Whether a run is told apart from a better one by this metric, on their common samples; None where they have none
    or it is not defined."""
    found = compared(best, other, [name]) if common(best, other)[0] else []
    return found[0].verdict in ("worse", "higher", "lower") if found else None


def _sums(run: Run, records: Sequence[Record]) -> Videos:
    """The sums of these of its samples by video, those of the run itself where they are all that it has finished."""
    every = len(records) == sum(record.done for record in run.records)
    return run.videos if every else by_video(records)


def _difference(metric: Metric, first: Videos, second: Videos) -> Difference:
    value, as_ratio = metric.value, metric.unit in ("times", "rate", "seconds")

    def by(a: Sums, b: Sums) -> Value:
        return ratio(value(b), value(a)) if as_ratio else np.asarray(value(b)) - np.asarray(value(a))

    return Difference(
        metric=metric,
        first=estimate(value, first).value,
        second=estimate(value, second).value,
        by=estimate(by, first, second),
        as_ratio=as_ratio,
        videos=len(first),
    )


def _key(record: Record) -> tuple[str, str, str, object]:
    sample = record.sample
    return sample.id, sample.question, sample.video, sample.span
