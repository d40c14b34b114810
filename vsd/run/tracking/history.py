"""What is logged of each sample: a step of the curves."""

from __future__ import annotations

from vsd.metrics.record import Record
from vsd.metrics.running import Running
from vsd.run.results.frames import METRICS

STEP = "sample"
OWN = "sample/"  # before what is of one sample alone


class History:
    """The steps of a run, from 1. `count` samples were added so far."""

    def __init__(self) -> None:
        self.count = 0
        self._running = Running()

    def add(self, record: Record) -> dict[str, float]:
        """The step that this sample makes: the live metrics over all so far, and this one's own."""
        own = {name: value for name, value in self._running.add(record).items() if name.startswith(METRICS)}
        self.count += 1
        own["failed"] = float(not record.done)
        if record.trace is not None and record.trace.visual:
            own["kept_share"] = record.trace.kept / record.trace.visual
        return {STEP: self.count, **self._running.values(), **{f"{OWN}{name}": value for name, value in own.items()}}
