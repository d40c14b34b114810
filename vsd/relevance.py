"""How much a token depends on the video: the visual relevance of LVSpec, for verifiers, drafters and reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vsd.types import Evidence
from vsd.utils.validation import require, require_whole


def unit(states_XD: Tensor) -> Tensor:
    """The states at length 1, in float32 or wider."""
    wide = torch.float64 if states_XD.dtype == torch.float64 else torch.float32
    return torch.nn.functional.normalize(states_XD.to(wide), dim=-1)


def visual_relevance(states_MD: Tensor, unit_VD: Tensor, top_n: int) -> Tensor:
    """relevance_M in [-1, 1]: the mean of the `top_n` largest cosines between a state and those of all visual tokens
    (`unit_VD`, at length 1); with fewer visual tokens than that, the mean over all."""
    cosines_MV = unit(states_MD).to(unit_VD.device) @ unit_VD.T
    return cosines_MV.topk(min(top_n, unit_VD.shape[0]), dim=-1).values.mean(-1)


@dataclass(frozen=True, kw_only=True)
class Relevance:
    """LVSpec's visual relevance, arXiv 2604.05650: the mean of the N largest cosines to the visual tokens' states.

    `top_n` is N; `layer` names the layer that the states are taken from, in the prefill and in the verifying pass alike
    ("1.0": the last, behind the final norm; a number counts layers, a number with a point is a share of the depth);
    `always` computes it for the record even when no method of the run asks for it.

    Differs from the paper in: the layer is not published, here the last.
    """

    top_n: int = 10
    layer: str = "1.0"
    always: bool = False

    def __post_init__(self) -> None:
        require_whole("relevance.top_n", self.top_n, least=1)
        require("relevance.layer", "a layer's number or share as text", self.layer, isinstance(self.layer, str))

    def meter(self, evidence: Evidence) -> Callable[[Tensor], Tensor]:
        """relevance_M of states_MD, for the visual tokens of this evidence."""
        unit_VD = unit(evidence.hidden[self.layer].visual_VD)
        return lambda states_MD: visual_relevance(states_MD, unit_VD, self.top_n)

    @property
    def need(self) -> str:
        """The evidence of the prefill and of the verifying pass that it reads."""
        return f"hidden:{self.layer}"
