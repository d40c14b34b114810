"""Virtual time: a clock that stands still until somebody spends seconds on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vsd.utils.clock import Clock


class VirtualClock:
    """The seconds of one device. Each side of a parallel run has one; they meet where one waits for the other.

    What takes a second alone takes `pace` of them while `beside` works too: another virtual clock, whose work is told
    beforehand and so gets `late` by what this one's work costs it. `spread` is the sigma of a log-normal factor with
    mean 1, drawn for each piece of work from `seed`.
    """

    def __init__(
        self,
        pace: float = 1.0,
        *,
        beside: VirtualClock | None = None,
        spread: float = 0.0,
        seed: Sequence[int] = (0,),
    ) -> None:
        self.now = self.late = 0.0
        self._pace = pace
        self._beside = beside
        self._spread = spread
        self._random = np.random.default_rng(seed)
        self._factor = 1.0
        self._owed = 0.0

    def begin(self) -> None:
        """Another piece of work begins, which may go faster or slower than the last."""
        if self._spread:
            self._factor = self._random.lognormal(-(self._spread**2) / 2, self._spread)

    def spend(self, seconds: float) -> None:
        """Work for so long."""
        seconds = (seconds + self._owed) * self._factor
        self._owed = 0.0
        both = self._both(seconds)
        self.now += both + seconds - both / self._pace

    def _both(self, seconds: float) -> float:
        """How long both work, if this one has so much to do; the other one gets late."""
        other = self._beside
        if other is None:
            return 0.0
        both = min(seconds * self._pace, max(0.0, other.now - self.now) * other._pace)
        late = both - both / other._pace
        other.now += late
        other.late += late
        return both

    def owe(self, seconds: float) -> None:
        """The next work takes so much longer."""
        self._owed = seconds

    def until(self, moment: float) -> None:
        """Wait for a moment; nothing happens if it has passed."""
        self.now = max(self.now, moment)

    def clock(self) -> Clock:
        """A clock that shows this time, begun now."""
        return _VirtualSpans(self)


class _VirtualSpans(Clock):
    simulated = True

    def __init__(self, time: VirtualClock) -> None:
        self._time = time
        super().__init__()

    def now(self) -> float:
        return self._time.now
