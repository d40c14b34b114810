"""Uniform pruning: the second of the two baselines that belong in every comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from vsd.pruners.base import Pruner
from vsd.pruners.select import centres, linspace
from vsd.types import Evidence
from vsd.utils.validation import require_one_of

Ends = Literal["middle", "both"]


@dataclass(frozen=True, kw_only=True)
class Uniform(Pruner):
    """Keeps visual tokens at even stride in raster/time order.

    With `ends` "middle" they are the middles of K equal stretches, so that the two ends of the video fare alike and
    K = 1 keeps the middle token. When the stride divides the frame (or the frame the stride), the same cells are kept
    in every frame. With "both" they run from the first token to the last, both kept, as in the `uniform` baseline of
    SpecVLM's authors (arXiv 2508.16201); K = 1 keeps the first.

    Differs from the paper in: with "both" the stride is exact and truncated, and so is K (see `pruner=specvlm`), where
    floating point can miss either by one.
    """

    ends: Ends = "middle"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("pruner.ends", self.ends, get_args(Ends))

    def keep(self, evidence: Evidence) -> Tensor:
        """kept_K, as `Pruner.keep` has it."""
        spread = linspace if self.ends == "both" else centres
        return spread(evidence.tokens, self.budget(evidence.grid))
