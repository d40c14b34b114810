"""The attention function of the language models, registered with transformers, and the evidence it can collect.

transformers looks attention up by name. The function registered here runs PyTorch's fused attention like the stock
one, and differs in two things: queries that share a key/value head are folded into rows of one head, so that the
cache is never repeated; and a probe, if one is passed along, reduces the attention rows of the text suffix.

A chain of rows behind a cache sees all keys but those of the rows behind each. On a GPU in half precision that is flash
attention's own causal form, aligned to the lower right, which takes grouped heads as they are and splits long keys over
the GPU; elsewhere (a CPU, float32, GPUs before Ampere) PyTorch would make a mask of it in every layer, so a step brings
one mask for all layers (`vsd.models.mask`).

cuDNN's attention is turned off for the process, here, where every process that runs a model comes by: it is the first
choice on Hopper and Blackwell and builds a plan for each length of keys, tens of milliseconds long, while decoding
has another length in every step.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "vsd"

torch.backends.cuda.enable_cudnn_sdp(False)


def sdpa_flags() -> dict[str, bool]:
    """Which of PyTorch's attention kernels may be chosen in this process (on CUDA)."""
    cuda = torch.backends.cuda
    return {
        "flash": cuda.flash_sdp_enabled(),
        "efficient": cuda.mem_efficient_sdp_enabled(),
        "cudnn": cuda.cudnn_sdp_enabled(),
        "math": cuda.math_sdp_enabled(),
        "math_in_half": cuda.fp16_bf16_reduction_math_sdp_allowed(),
    }


def unmasked_chains(like: Tensor) -> bool:
    """Whether flash attention takes rows of this dtype and device, so that a chain of them needs no mask."""
    half = like.dtype in (torch.bfloat16, torch.float16)
    return like.is_cuda and half and torch.backends.cuda.flash_sdp_enabled() and _has_flash(like.device)


@cache
def _has_flash(device: torch.device) -> bool:
    """Whether this GPU and this PyTorch have it. (On AMD it is aligned otherwise.)"""
    here = (
        torch.cuda.is_available() and torch.version.hip is None and torch.backends.cuda.is_flash_attention_available()
    )
    return here and torch.cuda.get_device_capability(device) >= (8, 0)


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

    def see(self, query: Tensor, key: Tensor, groups: int, scaling: float) -> None:
        """Add one layer: query (1, Hkv, groups * S, d) of the last S tokens, key (1, Hkv, T, d)."""
        scores = (query @ key.transpose(2, 3)).mul_(scaling)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        columns = self._columns if isinstance(self._columns, slice) else self._columns.to(scores.device)
        if self._video:
            self._video_sums.append(scores[..., columns].softmax(-1).sum((0, 1, 2)).to(self._device))
        if self._context:
            _hide_later(scores, groups)
            self._context_sums.append(scores.softmax(-1).sum((0, 1, 2))[columns].to(self._device))
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


def _hide_later(scores: Tensor, groups: int) -> None:
    """Hide from each of the last S tokens those behind it: scores (1, Hkv, groups * S, T)."""
    count = scores.shape[2] // groups
    later_SS = torch.ones(count, count, dtype=torch.bool, device=scores.device).triu(1)
    scores[..., scores.shape[3] - count :].unflatten(2, (groups, count)).masked_fill_(later_SS, -torch.inf)


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

    Without a mask the last of the M rows sees everything, and each before it one key less. `probe` is for rows that are
    the prompt's last.
    """
    batch, heads, count, size = query.shape
    key_heads = key.shape[1]
    groups = heads // key_heads
    if mass is not None:
        mass.see(module.layer_idx, query, key, attention_mask, scaling)  # type: ignore[arg-type]
    if probe is not None:
        probe.see(query.reshape(batch, key_heads, groups * count, size), key, groups, scaling)
    if attention_mask is None and count > 1:
        return _causal(query, key, value, scaling, groups).transpose(1, 2), None
    if attention_mask is not None and attention_mask.shape[2] != groups * count:
        attention_mask = attention_mask.repeat(1, 1, groups, 1)  # a mask of transformers' own making
    folded = query.reshape(batch, key_heads, groups * count, size)
    mixed = scaled_dot_product_attention(folded, key, value, attn_mask=attention_mask, scale=scaling)
    return mixed.reshape(batch, heads, count, value.shape[-1]).transpose(1, 2), None


def _causal(query: Tensor, key: Tensor, value: Tensor, scaling: float, groups: int) -> Tensor:
    # On CUDA only flash attention takes fewer key heads than query heads; the fallback would form T x T.
    grouped = groups > 1 and (not query.is_cuda or unmasked_chains(query))
    if groups > 1 and not grouped:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    count, rows = query.shape[2], key.shape[2]
    if count == rows:
        return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=grouped)
    bias = causal_lower_right(count, rows)
    return scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scaling, enable_gqa=grouped)


AttentionInterface.register(NAME, attention_forward)
AttentionMaskInterface.register(NAME, sdpa_mask)
