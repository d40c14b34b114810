"""How much the text behind the video attends to each visual token (SpecVLM, arXiv 2508.16201).

Rows of S suffix queries against the context are formed, one layer at a time; a T x T matrix never is. The softmax is at
least float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed

from vsd.evidence.base import Attended, Probe, Reading, layer_number


class SuffixAttention(Probe):
    """ "attention": the mean weight on each visual token, (V,), over layers, heads and queries, softmax over the whole
    context; "attention:L" in layer L alone, counted from 1."""

    kind = "attention"
    argument = "[layer]"
    first_layer = 1
    suffix = True

    def __init__(self, argument: str, reading: Reading) -> None:
        super().__init__(argument, reading)
        self.stage = layer_number(argument, reading.depth, kind=self.kind) if argument else reading.depth
        self.attention = frozenset({self.stage} if argument else range(1, reading.depth + 1))
        self._columns = columns(reading.prompt.visual_V)
        self._sums = list[Tensor]()
        self._count = 0

    def prompt_attention(self, layer: int, attended: Attended) -> None:
        query, key, _, scaling = attended
        batch, heads, count, size = query.shape
        folded = query.reshape(batch, key.shape[1], -1, size)  # heads that share a key stand as rows of one
        scores = (folded @ key.transpose(2, 3)).mul_(scaling)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        device = self.reading.prompt.visual_V.device
        self._sums.append(self._weights(scores, heads // key.shape[1]).sum((0, 1, 2)).to(device))
        self._count += heads * count

    def _weights(self, scores: Tensor, groups: int) -> Tensor:
        """The weights on the visual tokens, (1, Hkv, groups * S, V), of scores (1, Hkv, groups * S, T)."""
        _hide_later(scores, groups)
        return scores.softmax(-1)[..., at(self._columns, scores)]

    def value(self) -> Tensor:
        total_V = torch.stack(self._sums).sum(0)
        if self.reading.ranks > 1:
            distributed.all_reduce(total_V)
        return total_V / (self._count * self.reading.ranks)


class VideoAttention(SuffixAttention):
    """ "video_attention", "video_attention:L": the same with the softmax over the visual tokens alone."""

    kind = "video_attention"

    def _weights(self, scores: Tensor, groups: int) -> Tensor:
        return scores[..., at(self._columns, scores)].softmax(-1)


def columns(visual_V: Tensor) -> slice | Tensor:
    """The visual tokens' keys: they stand side by side, and a slice is a view where an index would be a copy."""
    first, last = int(visual_V[0]), int(visual_V[-1])
    return slice(first, last + 1) if last - first + 1 == len(visual_V) else visual_V


def at(columns: slice | Tensor, scores: Tensor) -> slice | Tensor:
    """The columns, where the scores lie."""
    return columns if isinstance(columns, slice) else columns.to(scores.device)


def _hide_later(scores: Tensor, groups: int) -> None:
    """Hide from each of the last S tokens those behind it: scores (1, Hkv, groups * S, T)."""
    count = scores.shape[2] // groups
    later_SS = torch.ones(count, count, dtype=torch.bool, device=scores.device).triu(1)
    scores[..., scores.shape[3] - count :].unflatten(2, (groups, count)).masked_fill_(later_SS, -torch.inf)
