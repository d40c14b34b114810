"""The attention function of the language models, registered with transformers, and the evidence it can collect.

transformers looks attention up by name. The function registered here runs PyTorch's fused attention like the stock
one, and differs in two things: queries that share a key/value head are folded into rows of one head, so that the
cache is never repeated; and a probe, if one is passed along, reduces the attention rows of the text suffix.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "vsd"


class SuffixAttention:
    """Sums, over layers, heads and suffix queries, the attention weights on the V visual tokens.

    Rows of S suffix queries against the context are formed, one layer at a time; a T x T matrix never is. The
    softmax is at least float32.
    """

    def __init__(self, visual_V: Tensor, *, context: bool, video: bool, ranks: int = 1) -> None:
        """`context`: weights normalised over the whole context. `video`: over the visual tokens only. `ranks`: how many
        processes hold equal shares of the heads."""
        self._columns = _columns(visual_V)
        self._context, self._video = context, video
        self._device = visual_V.device
        self._ranks = ranks
        self._context_sums: list[Tensor] = []
        self._video_sums: list[Tensor] = []
        self._rows = 0

    def see(self, query: Tensor, key: Tensor, mask: Tensor, scaling: float) -> None:
        """Add one layer: query (1, Hkv, groups * S, d), key (1, Hkv, T, d), additive mask (1, 1, groups * S, T)."""
        scores = (query @ key.transpose(2, 3)).mul_(scaling)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        columns = self._columns if isinstance(self._columns, slice) else self._columns.to(scores.device)
        if self._video:
            self._video_sums.append(scores[..., columns].softmax(-1).sum((0, 1, 2)).to(self._device))
        if self._context:
            self._context_sums.append(scores.add_(mask).softmax(-1).sum((0, 1, 2))[columns].to(self._device))
        self._rows += query.shape[1] * query.shape[2]

    @property
    def attention_V(self) -> Tensor | None:
        """The mean weight, softmax over the whole context (None unless wanted)."""
        return self._mean(self._context_sums) if self._context else None

    @property
    def video_attention_V(self) -> Tensor | None:
        """The mean weight, softmax over the visual tokens only (None unless wanted)."""
        return self._mean(self._video_sums) if self._video else None

    def _mean(self, sums: list[Tensor]) -> Tensor:
        total_V = torch.stack(sums).sum(0)
        if self._ranks > 1:
            distributed.all_reduce(total_V)
        return total_V / (self._rows * self._ranks)


class VisualMass:
    """Says how much of a token's attention falls on the visual tokens: the sum of its weights on them in one layer,
    softmax over the whole context, mean over the heads. In [0, 1].

    Which token is asked for is known only when its pass is over. So it keeps the queries of the last pass, and forms
    one row when it is asked for one.
    """

    def __init__(self, visual_V: Tensor, *, layer: int, last: bool = False, ranks: int = 1) -> None:
        """`layer`: the number of the layer, from 0. `last`: keep the last query of a pass alone. `ranks`: how many
        processes hold equal shares of the heads."""
        self._columns = _columns(visual_V)
        self._layer, self._last, self._ranks = layer, last, ranks
        self._seen: tuple[Tensor, Tensor, Tensor | None, float] | None = None

    def see(self, layer: int, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> None:
        """Take what is needed of a pass: query (1, H, M, d), key (1, Hkv, T, d), additive mask (1, 1, M or more, T), or
        None where row i sees all but the last M - 1 - i."""
        if layer != self._layer:
            return
        count = query.shape[2]
        if self._last:  # a prompt's queries are large
            query = query[:, :, count - 1 :].clone()
            mask = None if mask is None else mask[:, :, count - 1 : count]
        self._seen = query, key, mask, scaling

    def at(self, row: int) -> float:
        """The mass of the token in this row of the last pass; before the cache is committed, which moves its rows."""
        assert self._seen is not None, "no pass was seen"
        query, key, mask, scaling = self._seen
        keys, count, total = key.shape[1], query.shape[2], key.shape[2]
        folded = query[0, :, row].reshape(keys, -1, query.shape[-1])
        scores = (folded @ key[0].transpose(1, 2)) * scaling
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        visible = total - count + 1 + row  # in a chain
        scores = scores[..., :visible] if mask is None else scores + mask[0, 0, row, :total]
        columns = self._columns if isinstance(self._columns, slice) else self._columns.to(scores.device)
        total_mass = scores.softmax(-1)[..., columns].sum(-1).mean()
        if self._ranks > 1:
            distributed.all_reduce(total_mass)
        return float(total_mass) / self._ranks


def _columns(visual_V: Tensor) -> slice | Tensor:
    """The visual tokens' keys: they stand side by side, and a slice is a view where an index would be a copy."""
    first, last = int(visual_V[0]), int(visual_V[-1])
    return slice(first, last + 1) if last - first + 1 == len(visual_V) else visual_V


def attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    probe: SuffixAttention | None = None,
    mass: VisualMass | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Fused attention, (1, H, M, d) against (1, Hkv, rows, d); returns (1, M, H, d).

    Without a mask, M rows against M rows are causal, and one row sees everything.
    """
    batch, heads, count, size = query.shape
    key_heads = key.shape[1]
    groups = heads // key_heads
    if mass is not None:
        mass.see(module.layer_idx, query, key, attention_mask, scaling)  # type: ignore[arg-type]
    if attention_mask is None and count > 1:
        return _causal(query, key, value, scaling, groups).transpose(1, 2), None
    if attention_mask is not None and attention_mask.shape[2] != groups * count:
        attention_mask = attention_mask.repeat(1, 1, groups, 1)  # a mask of transformers' own making
    folded = query.reshape(batch, key_heads, groups * count, size)
    mixed = scaled_dot_product_attention(folded, key, value, attn_mask=attention_mask, scale=scaling)
    if probe is not None and attention_mask is not None:
        probe.see(folded, key, attention_mask, scaling)
    return mixed.reshape(batch, heads, count, value.shape[-1]).transpose(1, 2), None


def _causal(query: Tensor, key: Tensor, value: Tensor, scaling: float, groups: int) -> Tensor:
    key, value = key[:, :, : query.shape[2]], value[:, :, : query.shape[2]]
    # In float32 on CUDA no fused kernel takes fewer key heads than query heads; the fallback would form T x T.
    grouped = groups > 1 and not (query.is_cuda and query.dtype == torch.float32)
    if groups > 1 and not grouped:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=grouped)


AttentionInterface.register(NAME, attention_forward)
AttentionMaskInterface.register(NAME, sdpa_mask)
