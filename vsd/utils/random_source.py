"""The one source of randomness of drafters and verifiers: a yes or no, and one of several tokens.

Both are asked for through this interface, so that a test can walk through every outcome and add up their weights
instead of drawing samples.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class RandomSource(Protocol):
    """Draws what a rule leaves open."""

    def happens(self, probability: float) -> bool:
        """True with `probability`; what lies outside [0, 1] counts as never or always."""

    def pick(self, weights_W: Tensor) -> int:
        """An index, each with a probability in proportion to its weight; never one of weight 0."""


class SeededRandom:
    """Draws from a seed. They do not depend on the device that the weights lie on.

    Streams of one seed are independent: the two sides of a run draw from one each, so that neither depends on when the
    other one draws.
    """

    def __init__(self, seed: int, stream: int = 0) -> None:
        self._rng = torch.Generator().manual_seed(seed + (stream << 32))

    def happens(self, probability: float) -> bool:
        return self._uniform() < probability

    def pick(self, weights_W: Tensor) -> int:
        cumulative_W = weights_W.double().cumsum(0)
        # The first index whose cumulative weight exceeds the mark has a weight of its own, unless rounding put the
        # mark at the very end.
        mark = self._uniform() * cumulative_W[-1]
        last = (cumulative_W < cumulative_W[-1]).sum()
        return int(torch.searchsorted(cumulative_W, mark, right=True).minimum(last))

    def _uniform(self) -> float:
        return torch.rand((), generator=self._rng, dtype=torch.float64).item()
