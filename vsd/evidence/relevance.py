"""How much a token depends on the video: LVSpec's visual relevance (arXiv 2604.05650)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vsd.evidence.base import Probe, Reading, layer_number
from vsd.evidence.hidden import HiddenStates
from vsd.types import Hidden
from vsd.utils.validation import require, require_whole


@dataclass(frozen=True, kw_only=True)
class Relevance:
    """How visual relevance is measured: the mean of the N largest cosines to the visual tokens' states.

    LVSpec, arXiv 2604.05650. `top_n` is N; `layer` names the layer that the states are taken from, in the prefill and
    in the verifying pass alike ("1.0": the last, behind the final norm; a number counts layers, a number with a point
    is a share of the depth); `always` computes it for the record even when no method of the run asks for it.

    Differs from the paper in: the layer is not published, here the last.
    """

    top_n: int = 10
    layer: str = "1.0"
    always: bool = False

    def __post_init__(self) -> None:
        require_whole("relevance.top_n", self.top_n, least=1)
        require("relevance.layer", "a layer's number or share as text", self.layer, isinstance(self.layer, str))
        require("relevance.always", "true or false", self.always, isinstance(self.always, bool))

    @property
    def need(self) -> str:
        """The evidence that is measured so."""
        return f"relevance:{self.layer}:{self.top_n}"


class RelevanceProbe(Probe):
    """ "relevance:L:N": of each row of a pass its relevance in [-1, 1], (M,), by the states after L layers and the N
    nearest visual tokens. Of the prompt those states."""

    kind = "relevance"
    argument = "layer:N"
    in_passes = True

    def __init__(self, argument: str, reading: Reading) -> None:
        super().__init__(argument, reading)
        layer, _, count = argument.partition(":")
        self._hidden, self._top_n = HiddenStates(layer, reading), int(count)
        self.stage, self.layers = self._hidden.stage, self._hidden.layers
        self._unit_VD: Tensor | None = None

    @classmethod
    def check(cls, argument: str, depth: int) -> None:
        layer, _, count = argument.partition(":")
        layer_number(layer, depth, kind=cls.kind)
        if not count.isdecimal() or int(count) < 1:
            raise ValueError(f"needs: relevance takes a layer and a number of tokens like 1.0:10, got {argument!r}")

    def prompt_states(self, layer: int, states_MD: Tensor, start: int) -> None:
        self._hidden.prompt_states(layer, states_MD, start)

    def pass_states(self, layer: int, states_MD: Tensor) -> None:
        self._hidden.pass_states(layer, states_MD)

    def value(self) -> Hidden:
        return self._hidden.value()

    def rows(self) -> Tensor:
        if self._unit_VD is None:
            self._unit_VD = unit(self._hidden.value().visual_VD)
        return visual_relevance(self._hidden.rows(), self._unit_VD, self._top_n)


def unit(states_XD: Tensor) -> Tensor:
    """The states at length 1, in float32 or wider."""
    wide = torch.float64 if states_XD.dtype == torch.float64 else torch.float32
    return normalize(states_XD.to(wide), dim=-1)


def visual_relevance(states_MD: Tensor, unit_VD: Tensor, top_n: int) -> Tensor:
    """relevance_M in [-1, 1]: the mean of the `top_n` largest cosines between a state and those of all visual tokens
    (`unit_VD`, at length 1); with fewer visual tokens than that, the mean over all."""
    cosines_MV = unit(states_MD).to(unit_VD.device) @ unit_VD.T
    return cosines_MV.topk(min(top_n, unit_VD.shape[0]), dim=-1).values.mean(-1)
