"""The numbers of a run while it goes on: what a sample adds is added once, however many came before it."""

from __future__ import annotations

import math

from vsd.metrics.record import Record
from vsd.metrics.registry import Sums, metrics_in
from vsd.metrics.sums import pooled, sums_of
from vsd.utils.faults import left_out

_OF_SCORES = ("right/", "asked/")


class Running:
    """Sums of the samples so far. As at a run's end, the scores of samples without a baseline count only while no
    sample has one."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._scores_alone: dict[str, float] = {}
        self._compared = False

    def add(self, record: Record) -> dict[str, float]:
        """Add a sample. Returns the live metrics of this one alone, without those that are not defined."""
        own = sums_of(record)
        scores = {name: value for name, value in own.items() if name.startswith(_OF_SCORES)}
        if record.done and record.baseline is None:
            self._scores_alone = pooled((self._scores_alone, scores))
            self._sums = pooled((self._sums, {name: value for name, value in own.items() if name not in scores}))
        else:
            self._compared |= record.baseline is not None
            self._sums = pooled((self._sums, own))
        return live_values(own)

    def values(self) -> dict[str, float]:
        """The live metrics of all samples so far, without those that are not defined."""
        return live_values(self._sums if self._compared else pooled((self._sums, self._scores_alone)))


def live_values(sums: dict[str, float]) -> dict[str, float]:
    """The metrics of these sums that a person looks at while a run goes on."""
    full, found = Sums(sums), dict[str, float]()
    for metric in metrics_in(full):
        if metric.live:
            with left_out(metric.name):
                value = float(metric.value(full))
                if math.isfinite(value):
                    found[metric.name] = value
    return found
