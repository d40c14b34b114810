"""Picking indices: pure functions of counts and score vectors. All return sorted, unique indices."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# V * (1 - ratio) of numbers written in decimals misses the whole number it means by about V * 1e-16: far below this,
# and no two ratios that anybody tells apart are this close.
_ROUNDING = 1e-6


def budget(tokens: int, ratio: float) -> int:
    """How many of `tokens` stay when the share `ratio` is removed: floor(tokens * (1 - ratio)), but at least 1."""
    return min(tokens, max(1, math.floor(tokens * (1 - ratio) + _ROUNDING)))


def top(score_V: Tensor, k: int) -> Tensor:
    """The k highest scores; among equal scores the earlier token wins, on every device.

    A stable sort, because `torch.topk` leaves the order of ties open.
    """
    return score_V.sort(descending=True, stable=True).indices[:k].sort().values


def linspace(n: int, k: int, device: torch.device | None = None) -> Tensor:
    """k of n indices at even stride from the first to the last, truncated to whole numbers (k = 1: the first).

    Integer arithmetic: a float linspace, truncated, can land one below a whole number and repeat an index.
    """
    return torch.arange(k, device=device) * (n - 1) // max(k - 1, 1)


def centres(n: int, k: int, device: torch.device | None = None) -> Tensor:
    """The middles of k equal stretches of n indices: even stride, as far from the first as from the last index."""
    return (2 * torch.arange(k, device=device) + 1) * n // (2 * k)
