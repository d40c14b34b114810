"""Whole frames: fewer moments, each at full detail."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vsd.pruners.base import Pruner
from vsd.pruners.select import centres
from vsd.types import Evidence


@dataclass(frozen=True, kw_only=True)
class Frame(Pruner):
    """Keeps all tokens of some frames, evenly spread over time, and none of the others.

    As many frames are taken as hold K tokens. Where K is no whole number of frames the last of them keeps only
    the remainder, at even stride, so that the budget is the same as every other pruner's.
    """

    def keep(self, evidence: Evidence) -> Tensor:
        """kept_K, as `Pruner.keep` has it."""
        grid, k = evidence.grid, self.budget(evidence.grid)
        area = grid.h * grid.w
        frames_F = centres(grid.t, -(-k // area))
        in_last = k - (len(frames_F) - 1) * area
        whole_K = (frames_F[:-1, None] * area + torch.arange(area)).flatten()
        return torch.cat([whole_K, frames_F[-1] * area + centres(area, in_last)])
