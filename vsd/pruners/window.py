"""A window in time: one stretch of the video at full detail."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vsd.pruners.base import Pruner
from vsd.types import Evidence
from vsd.utils.validation import is_number


@dataclass(frozen=True, kw_only=True)
class Window(Pruner):
    """Keeps one contiguous stretch of the video: K neighbouring tokens in raster/time order.

    `at` says where the stretch lies, from 0 (the start of the video) over 0.5 (its middle) to 1 (its end). The stretch
    is exactly K tokens long, so its first and last frame may be partial. A baseline of SpecVLM (arXiv 2508.16201).

    Differs from the paper in: the start is rounded to the nearest token, half to even, where the authors cut it off, so
    that in the middle it may lie one token later; K is exact (see `pruner=specvlm`).
    """

    at: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.at) or not 0 <= self.at <= 1:
            raise ValueError(f"pruner.at must be in [0, 1], got {self.at!r}")

    def keep(self, evidence: Evidence) -> Tensor:
        """kept_K, as `Pruner.keep` has it."""
        k = self.budget(evidence.grid)
        return torch.arange(k) + round((evidence.tokens - k) * self.at)
