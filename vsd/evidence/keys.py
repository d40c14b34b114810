"""The keys of a layer, by which attention finds the visual tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from vsd.evidence.base import Attended, Probe, Reading, layer_number


class Keys(Probe):
    """ "keys:L": the visual tokens' keys in layer L, counted from 1, as they stand in the cache: (V, heads * size),
    rotated to their positions."""

    kind = "keys"
    argument = "layer"
    first_layer = 1

    def __init__(self, argument: str, reading: Reading) -> None:
        super().__init__(argument, reading)
        self.stage = layer_number(argument, reading.depth, kind=self.kind)
        self.attention = frozenset({self.stage})
        self._key: Tensor | None = None

    def prompt_attention(self, layer: int, attended: Attended) -> None:
        self._key = attended.key  # that of the last piece holds the whole prompt

    def value(self) -> Tensor:
        assert self._key is not None, "nothing was read"
        visual_V = self.reading.prompt.visual_V
        keys_VHd = self._key[0].transpose(0, 1)[visual_V.to(self._key.device)].to(visual_V.device)
        if self.reading.ranks > 1:
            shares = [torch.empty_like(keys_VHd) for _ in range(self.reading.ranks)]
            torch.distributed.all_gather(shares, keys_VHd.contiguous())
            keys_VHd = torch.cat(shares, dim=1)
        return keys_VHd.flatten(1)
