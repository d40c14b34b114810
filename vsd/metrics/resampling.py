"""How sure a number is: the same over videos that are drawn anew, with replacement.

Rounds and questions of one video resemble each other, so videos are drawn whole; and a run and what it is compared with
are drawn together. One bootstrap serves every number of a run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vsd.metrics.record import Record
from vsd.metrics.registry import Sums, Value, metrics_in
from vsd.metrics.sums import LARGEST, pooled, sums_of
from vsd.utils.faults import left_out

RESAMPLES = 1000
INTERVAL = 0.025, 0.975  # quantiles
NOT_DRAWN = ("samples/", "exact/", "memory/")  # counts of this very run


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


def summarise(records: Sequence[Record], *, resamples: int = RESAMPLES, seed: int = 0) -> Summary:
    """All metrics of these records, with what drawing their videos anew says of them."""
    videos = by_video(records)
    values = {name: float(value) for name, value in evaluated(pooled(videos)).items() if np.isfinite(value)}
    finished = [video for video in videos if video.get("done")]
    if len(finished) < 2:
        return Summary(values=values)
    drawn = evaluated(draw(finished, resamples=resamples, seed=seed))
    errors, intervals = {}, {}
    for name in values:
        numbers = np.broadcast_to(drawn.get(name, np.float64(np.nan)), (resamples,))
        if name.startswith(NOT_DRAWN) or not np.isfinite(numbers).all():
            continue
        errors[name] = float(np.std(numbers))
        low, high = np.quantile(numbers, INTERVAL)
        intervals[name] = float(low), float(high)
    return Summary(values=values, errors=errors, intervals=intervals)


def by_video(records: Sequence[Record]) -> list[dict[str, float]]:
    """The pooled sums of each video. Where some samples have a baseline, the scores of those alone count, so that both
    sides are of the same samples."""
    compared = any(record.baseline for record in records)
    videos: dict[str, list[dict[str, float]]] = defaultdict(list)
    for record in records:
        videos[record.sample.video].append(sums_of(record, scored=record.baseline is not None or not compared))
    return [pooled(parts) for parts in videos.values()]


def draw(videos: Sequence[Mapping[str, float]], *, resamples: int, seed: int) -> Sums:
    """The sums of as many videos, drawn so often: (resamples,) each."""
    names = [name for name in dict.fromkeys(name for video in videos for name in video) if not name.startswith(LARGEST)]
    table = np.array([[video.get(name, 0.0) for name in names] for video in videos], float)
    counts = np.random.default_rng(seed).multinomial(len(videos), [1 / len(videos)] * len(videos), size=resamples)
    return Sums(zip(names, (counts @ table).T, strict=True))


def evaluated(sums: Mapping[str, Value | float]) -> dict[str, Value]:
    """Every metric of these sums, NaN where it is undefined. One that raises is left out with a warning."""
    full, values = Sums(sums), dict[str, Value]()
    for metric in metrics_in(sums):
        with left_out(metric.name):
            values[metric.name] = metric.value(full)
    return values
