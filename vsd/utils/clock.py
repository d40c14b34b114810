"""Time, measured with one rule: wait for every device at the border of a span, then read the wall clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch


class Clock:
    """Named spans in seconds. One clock belongs to one sample.

    Kernels on a CUDA device run after the call that launched them has returned, so each border of a span waits for
    this thread's own stream first: not for the other side of a parallel run. On a CPU there is nothing to wait for.
    """

    simulated: ClassVar[bool] = False
    """Whether its seconds are those of another machine."""

    def __init__(self, *devices: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self._cuda = tuple({device for device in devices if device.type == "cuda"})
        self.start = self.now()

    def now(self) -> float:
        """Seconds on a monotonic clock, with all queued device work done."""
        for device in self._cuda:
            torch.cuda.current_stream(device).synchronize()
        return time.perf_counter()

    def mark(self, name: str) -> None:
        """Record the time since the clock was made."""
        self.seconds[name] = self.now() - self.start

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Add the time spent inside the block to `name`."""
        start = self.now()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.now() - start
