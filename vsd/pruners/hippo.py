"""HIPPO's semantic-aware pruning: what the question asks for, what moves, and what stands out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import torch
from torch import Tensor

from vsd.evidence.base import is_layer
from vsd.pruners.base import ScorePruner
from vsd.pruners.select import top
from vsd.pruners.similarity import at_least_float32, unit
from vsd.types import Evidence, Grid, Hidden
from vsd.utils.validation import is_number

# Below these, a frame's scores differ by the rounding of float32 cosines alone, and stretching them to the full range
# would rank the tokens of a still frame by noise.
_COSINE_ROUNDING = 1e-6
_RELATIVE_ROUNDING = 1e-6

Neighbour = Literal["previous", "next", "both"]
Normalise = Literal["minmax", "z"]
Per = Literal["global", "frame"]


@dataclass(frozen=True, kw_only=True)
class Hippo(ScorePruner):
    """Keeps the visual tokens that the question attends to, that change over time or that stand out in their frame.

    Paper: arXiv 2601.08273.

    Three scores, each normalised, are added with weights:
    global g, the text's attention on the token among the video's tokens;
    temporal t, 1 - cosine with the same cell of the adjacent frame;
    spatial s, variance of the cosines with the other tokens of the crop around it.
    Evidence whose weights are 0 is not asked for.

    `features`: "projector", or a layer as UVPrune has it, whose hidden states are compared instead.
    `neighbour`: "previous", "next" or "both" (the mean of the two). A frame at an end of the video that lacks the
    chosen neighbour is compared with the one it has; in a video of one frame t is 0.
    `crop`: side of the square crop centred on the token, odd. At the edges it holds only the cells inside the frame.
    `normalise`: "minmax" to [0, 1] or "z" to mean 0 and deviation 1.
    `normalise_per`: "frame" normalises each frame by itself, "global" the whole video at once (the ablation). What has
    no differences gets 0.
    `budget_per`: "global" takes the K best of the video, so that lively frames keep more; "frame" takes the same
    number from each, and the remainder from the frames whose next token scores highest.

    Differs from the paper in: not published, therefore fields: the features of t and s (projector outputs), the
    neighbour frame (the previous one), the crop (3 x 3), the normalisation (minmax), the weights (all 1), the budget
    (global). K is rounded down.
    """

    features: str = "projector"
    neighbour: Neighbour = "previous"
    crop: int = 3
    normalise: Normalise = "minmax"
    normalise_per: Per = "frame"
    weight_global: float = 1.0
    weight_temporal: float = 1.0
    weight_spatial: float = 1.0
    budget_per: Per = "global"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "features", str(self.features))  # YAML reads 0.5 as a number
        closed = ("neighbour", Neighbour), ("normalise", Normalise), ("normalise_per", Per), ("budget_per", Per)
        for name, choices in closed:
            if getattr(self, name) not in get_args(choices):
                rule = f"one of {', '.join(get_args(choices))}"
                raise ValueError(f"pruner.{name} must be {rule}, got {getattr(self, name)!r}")
        if self.features != "projector" and not is_layer(self.features):
            raise ValueError(f"pruner.features must be projector or a layer such as 0.5, got {self.features!r}")
        if type(self.crop) is not int or self.crop < 3 or self.crop % 2 == 0:
            raise ValueError(f"pruner.crop must be an odd whole number of at least 3, got {self.crop!r}")
        for name in ("weight_global", "weight_temporal", "weight_spatial"):
            weight = getattr(self, name)
            if not is_number(weight) or not 0 <= weight < float("inf"):
                raise ValueError(f"pruner.{name} must be in [0, inf), got {weight!r}")
        if not (self.weight_global or self.weight_temporal or self.weight_spatial):
            raise ValueError("pruner.weight_global, weight_temporal and weight_spatial must not all be 0")

    @property
    def needs(self) -> frozenset[str]:
        """The suffix's attention over the video and the compared features, each only if its weights are above 0."""
        attention = {"video_attention"} if self.weight_global else set()
        feature = "features" if self.features == "projector" else f"hidden:{self.features}"
        return frozenset(attention | ({feature} if self.weight_temporal or self.weight_spatial else set()))

    def score(self, evidence: Evidence) -> Tensor:
        """score_V: the weighted sum of the three normalised scores."""
        grid, parts = evidence.grid, []
        scale = grid if self.normalise_per == "frame" else Grid(1, grid.t * grid.h, grid.w)
        if self.weight_temporal or self.weight_spatial:
            unit_VD = unit(self._compared(evidence))
            if self.weight_temporal:
                change_V = temporal(unit_VD, grid, self.neighbour)
                parts.append(self.weight_temporal * per_frame(change_V, scale, self.normalise, _COSINE_ROUNDING))
            if self.weight_spatial:
                variety_V = spatial(unit_VD, grid, self.crop)
                parts.append(self.weight_spatial * per_frame(variety_V, scale, self.normalise, _COSINE_ROUNDING**2))
        if self.weight_global:
            asked_V = at_least_float32(evidence["video_attention"])
            parts.append(self.weight_global * per_frame(asked_V, scale, self.normalise))
        return torch.stack([part.to(parts[0]) for part in parts]).sum(0)

    def select(self, score_V: Tensor, grid: Grid, k: int) -> Tensor:
        """kept_K: the best of the video, or the best of each frame."""
        return top_per_frame(score_V, grid, k) if self.budget_per == "frame" else top(score_V, k)

    def _compared(self, evidence: Evidence) -> Tensor:
        if self.features == "projector":
            projected_VD: Tensor = evidence["features"]
            return projected_VD
        hidden: Hidden = evidence[f"hidden:{self.features}"]
        return hidden.visual_VD


def temporal(unit_VD: Tensor, grid: Grid, neighbour: Neighbour) -> Tensor:
    """t_V = 1 - cosine with the same cell of the adjacent frame, from unit vectors; 0 when there is one frame only."""
    if grid.t == 1:
        return unit_VD.new_zeros(grid.tokens)
    frames = unit_VD.reshape(grid.t, grid.h * grid.w, -1)
    change = 1 - (frames[1:] * frames[:-1]).sum(-1)  # change[i]: between frames i and i + 1
    before, after = torch.cat([change[:1], change]), torch.cat([change, change[-1:]])
    return {"previous": before, "next": after, "both": (before + after) / 2}[neighbour].flatten()


def spatial(unit_VD: Tensor, grid: Grid, crop: int) -> Tensor:
    """s_V = population variance of the cosines with the other cells of the crop that lie inside the frame; 0 if none.

    Memory grows with V * crop², not with V²: each neighbour offset is one shifted product over the grid.
    """
    cells = unit_VD.reshape(*grid, -1)
    radius = crop // 2
    cosines, inside = [], []
    for dy, dx in product(range(-radius, radius + 1), repeat=2):
        if (dy, dx) == (0, 0) or abs(dy) >= grid.h or abs(dx) >= grid.w:
            continue
        here = (slice(None), _overlap(dy, grid.h), _overlap(dx, grid.w))
        there = (slice(None), _overlap(-dy, grid.h), _overlap(-dx, grid.w))
        cosine, mask = cells.new_zeros(grid), cells.new_zeros(grid)
        cosine[here] = (cells[here] * cells[there]).sum(-1)
        mask[here] = 1
        cosines.append(cosine)
        inside.append(mask)
    if not cosines:
        return unit_VD.new_zeros(grid.tokens)
    cosine_O, inside_O = torch.stack(cosines), torch.stack(inside)
    count = inside_O.sum(0)
    deviation_O = (cosine_O - cosine_O.sum(0) / count) * inside_O
    return (deviation_O.square().sum(0) / count).flatten()


def _overlap(shift: int, size: int) -> slice:
    """The positions p of an axis for which p + shift lies on the axis too."""
    return slice(max(0, -shift), size - max(0, shift))


def per_frame(score_V: Tensor, grid: Grid, how: Normalise, floor: float = 0.0) -> Tensor:
    """Each frame's scores on a common scale, which removes any bias for the frame's place in the video.

    A frame whose scores spread by no more than `floor`, or than rounding relative to their size, gets 0 throughout.
    """
    frames = score_V.reshape(grid.t, -1)
    low, high = frames.amin(1, keepdim=True), frames.amax(1, keepdim=True)
    flat = high - low <= (frames.abs().amax(1, keepdim=True) * _RELATIVE_ROUNDING).clamp(min=floor)
    if how == "minmax":
        scaled = (frames - low) / (high - low)
    else:
        scaled = (frames - frames.mean(1, keepdim=True)) / frames.std(1, correction=0, keepdim=True)
    return scaled.masked_fill(flat, 0).flatten()


def top_per_frame(score_V: Tensor, grid: Grid, k: int) -> Tensor:
    """The best k // t of each frame, and k % t more from the frames whose next token scores highest."""
    share, more = divmod(k, grid.t)
    order = score_V.reshape(grid.t, -1).sort(dim=1, descending=True, stable=True).indices
    order = order + torch.arange(grid.t, device=order.device)[:, None] * (grid.h * grid.w)
    if more == 0:
        return order[:, :share].flatten().sort().values
    runners_up = order[:, share]
    chosen = runners_up[top(score_V[runners_up], more)]
    return torch.cat([order[:, :share].flatten(), chosen]).sort().values
