"""Uniform pruning: the second of the two baselines that belong in every comparison."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vsd.pruners.base import Pruner
from vsd.pruners.select import centres
from vsd.types import Evidence


@dataclass(frozen=True, kw_only=True)
class Uniform(Pruner):
    """Keeps visual tokens at even stride in raster/time order.

    The kept tokens are the middles of K equal stretches, so the two ends of the video fare alike and K = 1 keeps the
    middle token. When the stride divides the frame (or the frame the stride), the same cells are kept in every frame.
    """

    def keep(self, evidence: Evidence) -> Tensor:
        """kept_K, as `Pruner.keep` has it."""
        return centres(evidence.tokens, self.budget(evidence.grid))
