"""Random pruning: the first of the two baselines that belong in every comparison."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vsd.pruners.base import Pruner
from vsd.types import Evidence


@dataclass(frozen=True, kw_only=True)
class Random(Pruner):
    """Keeps visual tokens drawn at random, every set of K equally likely.

    The draw depends on the evidence's seed alone, through a generator of its own on the CPU: the same on every device,
    and no other random stream moves.
    """

    def keep(self, evidence: Evidence) -> Tensor:
        """kept_K, as `Pruner.keep` has it."""
        k = self.budget(evidence.grid)
        generator = torch.Generator().manual_seed(evidence.seed)
        return torch.randperm(evidence.tokens, generator=generator)[:k].sort().values
