"""SpecVLM's verifier-guided pruning: the best-attended tokens, then an even spread over the rest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vsd.pruners.attention import Attention
from vsd.pruners.select import linspace, top
from vsd.types import Grid
from vsd.utils.validation import is_number

# A share of a sum of float32 weights is met when it is met to this relative precision: 0.4 of (0.4, 0.3, 0.3) is the
# first token alone, whatever the last bits say.
_PRECISION = 1e-6


@dataclass(frozen=True, kw_only=True)
class SpecVLM(Attention):
    """Keeps the few visual tokens that hold the share p of the suffix's attention, then others at even stride.

    Paper: arXiv 2508.16201.

    Stage I takes the fewest top-scored tokens whose scores sum to at least `p` of the total, at least one and at most
    K. Stage II fills the budget from the tokens not yet taken, at even stride from the first to the last in raster/time
    order.

    Differs from the paper in: kept tokens hold their original positions unless `positions=compact` (the authors always
    re-index them); ties in the score go to the earlier token; K = floor(V * (1 - ratio)) is exact, where the authors'
    floating point can lose one (V = 20, ratio 0.9: theirs 1, here 2).
    """

    p: float = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.p) or not 0 <= self.p <= 1:
            raise ValueError(f"pruner.p must be in [0, 1], got {self.p!r}")

    def select(self, score_V: Tensor, grid: Grid, k: int) -> Tensor:
        """kept_K: the union of both stages."""
        first_K = top(score_V, min(k, fewest_holding(score_V, self.p)))
        taken_V = torch.zeros_like(score_V, dtype=torch.bool)
        taken_V[first_K] = True
        rest_R = (~taken_V).nonzero().flatten()
        taken_V[rest_R[linspace(len(rest_R), k - len(first_K), rest_R.device)]] = True
        return taken_V.nonzero().flatten()


def fewest_holding(score_V: Tensor, share: float) -> int:
    """The smallest number of top scores, at least one, that sum to at least `share` of all scores."""
    sums_V = score_V.double().sort(descending=True).values.cumsum(0)
    wanted = share * float(sums_V[-1]) * (1 - _PRECISION)
    return 1 + int((sums_V < wanted).sum())
