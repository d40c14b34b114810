"""No pruning: what every other pruner is measured against."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vsd.pruners.base import Pruner
from vsd.types import Evidence


@dataclass(frozen=True, kw_only=True)
class NoPruner(Pruner):
    """Keeps every visual token: the draft sees the whole video.

    `ratio` has no effect, so `conf/pruner/none.yaml` does not refer to the dial.
    """

    ratio: float = 0.0

    def keep(self, evidence: Evidence) -> Tensor:
        """kept_K = 0..V-1."""
        return torch.arange(evidence.tokens)
