"""Cosines without loss of precision: half-precision evidence is raised to float32 before anything is summed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def at_least_float32(x: Tensor) -> Tensor:
    """x in its own dtype if that is float32 or float64, else in float32."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def unit(x_ND: Tensor) -> Tensor:
    """Rows scaled to length 1, in float32 or better. A row of zeros stays zero: its cosine with anything is 0."""
    return normalize(at_least_float32(x_ND), dim=-1)
