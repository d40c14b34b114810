"""How much the visual tokens' states have grown behind a layer."""

from torch import Tensor

from vsd.evidence import Probe, Reading, layer_number
from vsd.evidence.hidden import HiddenStates
from vsd.types import Hidden


class Growth(Probe):
    """ "growth:L": the norm of each visual token's state after L layers, as a share of its embedding's: (V,)."""

    kind = "growth"
    argument = "layer"
    first_layer = 1

    def __init__(self, argument: str, reading: Reading) -> None:
        super().__init__(argument, reading)
        self.stage = layer_number(argument, reading.depth, kind=self.kind)
        self.layers = frozenset({self.stage})
        self._states = HiddenStates(argument, reading)

    def prompt_states(self, layer: int, states_MD: Tensor, start: int) -> None:
        self._states.prompt_states(layer, states_MD, start)

    def value(self) -> Tensor:
        states: Hidden = self._states.value()
        growth_V: Tensor = states.visual_VD.norm(dim=-1) / self.reading.prompt.features_VD.norm(dim=-1)
        return growth_V
