"""Hidden states of a layer: of the visual tokens and the text behind them, and of every node of a pass."""

from __future__ import annotations

import torch
from torch import Tensor

from vsd.evidence.base import Probe, Reading, layer_number
from vsd.types import Hidden


class HiddenStates(Probe):
    """ "hidden:L": the states after L layers, a number or a share of the depth; 0 are the input embeddings, the last
    layer's stand behind the final norm, as transformers numbers them."""

    kind = "hidden"
    argument = "layer"
    in_passes = True

    def __init__(self, argument: str, reading: Reading) -> None:
        super().__init__(argument, reading)
        self.stage = layer_number(argument, reading.depth)
        self.layers = frozenset({self.stage})
        self._visual, self._text = list[Tensor](), list[Tensor]()
        self._rows_MD: Tensor | None = None
        if not self.stage:
            self.prompt_states(0, reading.prompt.embeds_TD, 0)

    def prompt_states(self, layer: int, states_MD: Tensor, start: int) -> None:
        prompt = self.reading.prompt
        device = prompt.embeds_TD.device  # the layer may lie on another one
        inside_V = (prompt.visual_V >= start) & (prompt.visual_V < start + len(states_MD))
        rows_V = (prompt.visual_V[inside_V] - start).to(states_MD.device)
        self._visual.append(states_MD[rows_V].to(device))
        text_SD = states_MD[max(prompt.suffix - start, 0) :]
        self._text.append(text_SD.to(device, copy=True))  # a view would keep all rows alive
        self._rows_MD = self._text[-1][-1:]

    def value(self) -> Hidden:
        if len(self._visual) > 1:  # of a prompt in pieces; what is joined takes their place
            self._visual, self._text = [torch.cat(self._visual)], [torch.cat(self._text)]
        return Hidden(visual_VD=self._visual[0], text_SD=self._text[0])

    def pass_states(self, layer: int, states_MD: Tensor) -> None:
        self._rows_MD = states_MD.to(self.reading.prompt.embeds_TD.device)  # where those of the prompt lie

    def rows(self) -> Tensor:
        assert self._rows_MD is not None, "nothing was read"
        return self._rows_MD
