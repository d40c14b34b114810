"""How much of a token's attention falls on the video (ViSkip of MMSpec, arXiv 2603.14989)."""

from __future__ import annotations

import torch
from torch import Tensor, distributed

from vsd.evidence.attention import at, columns
from vsd.evidence.base import Attended, Probe, Reading


class VisualMass(Probe):
    """ "visual_mass": the last layer's attention weights on the visual tokens, summed, softmax over the whole context,
    mean over the heads; in [0, 1]. Of a prompt a number, that of its last token; of a pass (M,)."""

    kind = "visual_mass"
    in_passes = True

    def __init__(self, argument: str, reading: Reading) -> None:
        super().__init__(argument, reading)
        self.stage = reading.depth
        self.attention = frozenset({reading.depth})
        self._columns = columns(reading.prompt.visual_V)
        self._mass_M: Tensor | None = None

    def prompt_attention(self, layer: int, attended: Attended) -> None:
        query, key, mask, scaling = attended  # of a prompt's rows only the last one counts
        last = None if mask is None else mask[:, :, query.shape[2] - 1 : query.shape[2]]
        self.pass_attention(layer, Attended(query[:, :, -1:], key, last, scaling))

    def pass_attention(self, layer: int, attended: Attended) -> None:
        query, key, mask, scaling = attended
        count, total, heads = query.shape[2], key.shape[2], key.shape[1]
        folded = query[0].reshape(heads, -1, query.shape[-1])  # (Hkv, groups * M, d)
        scores = ((folded @ key[0].transpose(1, 2)) * scaling).unflatten(1, (-1, count))
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if mask is not None:
            scores = scores + mask[0, 0, :count, :total]
        elif count > 1:
            later_MM = torch.ones(count, count, dtype=torch.bool, device=scores.device).triu(1)
            scores[..., total - count :].masked_fill_(later_MM, -torch.inf)
        self._mass_M = scores.softmax(-1)[..., at(self._columns, scores)].sum(-1).mean((0, 1))
        if self.reading.ranks > 1:
            distributed.all_reduce(self._mass_M)
            self._mass_M /= self.reading.ranks

    def value(self) -> float:
        return float(self.rows()[-1])

    def rows(self) -> Tensor:
        assert self._mass_M is not None, "nothing was read"
        return self._mass_M
