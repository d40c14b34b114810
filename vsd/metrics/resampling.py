"""How sure a number is: the same over videos that are drawn anew, with replacement.

Rounds and questions of one video resemble each other, so videos are drawn whole; and runs that are compared, or a run
and its baseline, are drawn together. One bootstrap serves every number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vsd.metrics.record import Record
from vsd.metrics.registry import Sums, Value, metrics_in
from vsd.metrics.sums import LARGEST, pooled, sums_of
from vsd.utils.faults import left_out

RESAMPLES = 1000
INTERVAL = 0.025, 0.975  # quantiles
NOT_DRAWN = ("samples/", "exact/", "memory/")  # counts of this very run

Videos = Mapping[str, Mapping[str, float]]
"""By video, the pooled sums of a run's samples."""


class Estimate(NamedTuple):
    """A number with its standard error and the ends of its 95% interval: NaN where it is not defined in every draw, and
    for fewer than two videos."""

    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The numbers of a run, those that can be told; the standard errors, and the ends of the 95% intervals, of those
    that can be drawn anew (none of fewer than two videos)."""

    values: dict[str, float]
    errors: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    def flat(self) -> dict[str, float]:
        """The contents of metrics.json: each number, and behind it NAME_se, NAME_low and NAME_high."""
        numbers = {}
        for name, value in self.values.items():
            numbers[name] = value
            if name in self.errors:
                low, high = self.intervals[name]
                numbers |= {f"{name}_se": self.errors[name], f"{name}_low": low, f"{name}_high": high}
        return numbers


class Draws(Sums):
    """The sums of many draws: (draws,) each, added up when asked for. Made of what each video adds, (videos,), and how
    often each draw holds each video, (draws, videos)."""

    def __init__(self, videos: Sequence[Mapping[str, float]], counts: NDArray[np.int64]) -> None:
        names = dict.fromkeys(name for video in videos for name in video if not name.startswith(LARGEST))
        super().__init__({name: np.array([video.get(name, 0.0) for video in videos], float) for name in names})
        self._counts = counts

    def __getitem__(self, name: str) -> Value:
        if name not in self:
            return self.__missing__(name)
        drawn: NDArray[np.float64] = np.asarray(self._counts @ super().__getitem__(name), float)
        return drawn


def values_of(records: Sequence[Record]) -> dict[str, float]:
    """All metrics of these records that are defined, without their errors."""
    return _values(by_video(records))


def summarise(records: Sequence[Record], *, resamples: int = RESAMPLES, seed: int = 0) -> Summary:
    """All metrics of these records, with what drawing their videos anew says of them."""
    videos = by_video(records)
    values = _values(videos)
    finished = [video for video in videos.values() if video.get("done")]
    if len(finished) < 2:
        return Summary(values=values)
    drawn = evaluated(Draws(finished, draw(len(finished), resamples=resamples, seed=seed)))
    errors, intervals = {}, {}
    for name, value in values.items():
        found = _estimate(value, drawn.get(name, np.array(np.nan)), resamples)
        if not name.startswith(NOT_DRAWN) and np.isfinite(found.error):
            errors[name], intervals[name] = found.error, (found.low, found.high)
    return Summary(values=values, errors=errors, intervals=intervals)


def estimate(function: Callable[..., Value], *runs: Videos, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """A function of the pooled sums of several runs, over the videos that all of them have finished. A draw takes the
    same videos of each, so that what the runs have in common cancels. The function sees the sums of all draws at once,
    (resamples,) each."""
    names = [name for name in runs[0] if all(run.get(name, {}).get("done") for run in runs)]
    sides = [[run[name] for name in names] for run in runs]
    value = float(function(*(Sums(pooled(side)) for side in sides)))
    if len(names) < 2:
        return Estimate(value, *[float("nan")] * 3)
    counts = draw(len(names), resamples=resamples, seed=seed)
    return _estimate(value, function(*(Draws(side, counts) for side in sides)), resamples)


def by_video(records: Sequence[Record]) -> dict[str, dict[str, float]]:
    """The pooled sums of each video. Where some samples have a baseline, the scores of those alone count, so that both
    sides are of the same samples. The order of the records is of no account."""
    compared = any(record.baseline for record in records)
    videos: dict[str, list[dict[str, float]]] = defaultdict(list)
    for record in sorted(records, key=lambda record: (record.sample.video, record.sample.id)):
        videos[record.sample.video].append(sums_of(record, scored=record.baseline is not None or not compared))
    return {name: pooled(parts) for name, parts in videos.items()}


def draw(videos: int, *, resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each draw of as many videos holds each of them, (resamples, videos)."""
    return np.random.default_rng(seed).multinomial(videos, [1 / videos] * videos, size=resamples)


def evaluated(sums: Mapping[str, Value | float]) -> dict[str, Value]:
    """Every metric of these sums, NaN where it is undefined. One that raises is left out with a warning."""
    full, values = sums if isinstance(sums, Sums) else Sums(sums), dict[str, Value]()
    for metric in metrics_in(full):
        with left_out(metric.name):
            values[metric.name] = metric.value(full)
    return values


def _values(videos: Videos) -> dict[str, float]:
    found = evaluated(pooled(videos.values()))
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def _estimate(value: float, drawn: Value, resamples: int) -> Estimate:
    numbers = np.broadcast_to(drawn, (resamples,))
    if not np.isfinite(numbers).all():
        return Estimate(value, *[float("nan")] * 3)
    low, high = np.quantile(numbers, INTERVAL)
    return Estimate(value, float(np.std(numbers)), float(low), float(high))
