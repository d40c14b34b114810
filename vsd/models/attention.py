"""The attention function of the language models, registered with transformers, and the evidence it can collect.

transformers looks attention up by name. The function registered here runs PyTorch's fused attention like the stock
one, and differs in this: queries that share a key/value head are folded into rows of one head, so that the cache is
never repeated; evidence that is collected of it, if some is wanted, is shown queries and keys; and rows of a chain go
without a mask, and long keys in pieces, where that is of use.

A chain of rows behind a cache sees all keys but those of the rows behind each. On a GPU in half precision that is flash
attention's own causal form, aligned to the lower right, which takes grouped heads as they are and splits long keys over
the GPU; elsewhere (a CPU, float32, GPUs before Ampere) PyTorch would make a mask of it in every layer, so a step brings
one mask for all layers (`vsd.models.mask`). Where a mask keeps flash attention away on a GPU, long keys are split by
`vsd.models.split_attention`.

cuDNN's attention is turned off for the process, here, where every process that runs a model comes by: it is the first
choice on Hopper and Blackwell and builds a plan for each length of keys, tens of milliseconds long, while decoding
has another length in every step.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from vsd.evidence.base import Attended
from vsd.evidence.collector import Taken, Watch
from vsd.models import split_attention

NAME = "vsd"

Attention = Literal["auto", "fused", "split"]
"""How rows attend under a mask: `fused` by PyTorch's kernel over all keys; `split` over long keys in pieces, which few
rows take to fill a GPU; `auto` is split where it is of use, on a GPU."""
ATTENTIONS: tuple[Attention, ...] = get_args(Attention)

_FEW_ROWS = 512  # with those of query heads that share a key head: more fill a GPU by themselves
_LONG = 4  # pieces

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


def attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    watch: Watch | Taken | None = None,
    attention: Attention = "auto",
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Fused attention, (1, H, M, d) against (1, Hkv, rows, d); returns (1, M, H, d).

    Without a mask the last of the M rows sees everything, and each before it one key less.
    """
    batch, heads, count, size = query.shape
    key_heads = key.shape[1]
    groups = heads // key_heads
    if watch is not None:
        layer: Any = module.layer_idx
        watch.see_attention(layer + 1, Attended(query, key, attention_mask, scaling))
    if attention_mask is None and count > 1:
        return _causal(query, key, value, scaling, groups).transpose(1, 2), None
    if attention_mask is not None and attention_mask.shape[2] != groups * count:
        attention_mask = attention_mask.repeat(1, 1, groups, 1)  # a mask of transformers' own making
    folded = query.reshape(batch, key_heads, groups * count, size)
    if attention_mask is not None and _splits(folded, key, attention_mask, attention):
        mixed = split_attention.split_attention(folded, key, value, attention_mask, scaling)
    else:
        mixed = scaled_dot_product_attention(folded, key, value, attn_mask=attention_mask, scale=scaling)
    return mixed.reshape(batch, heads, count, value.shape[-1]).transpose(1, 2), None


def splits_on(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether PyTorch has the kernel that pieces take there: on a GPU its memory-efficient attention."""
    known = _SPLITS.get((device, dtype))
    if known is None:
        known = _SPLITS[device, dtype] = _has_pieces(device, dtype)
    return known


_SPLITS: dict[tuple[torch.device, torch.dtype], bool] = {}  # torch.compile warns of functools' cache


def _has_pieces(device: torch.device, dtype: torch.dtype) -> bool:
    if device.type != "cuda":
        return device.type == "cpu"
    able = torch.cuda.is_available() and torch.version.hip is None and torch.backends.cuda.mem_efficient_sdp_enabled()
    newest = dtype != torch.bfloat16 or (able and torch.cuda.get_device_capability(device) >= (8, 0))
    return able and newest and dtype != torch.float64


def _splits(folded: Tensor, key: Tensor, mask: Tensor, attention: Attention) -> bool:
    few = len(folded) == 1 and folded.shape[2] <= _FEW_ROWS
    pieces = key.shape[2] // split_attention.PIECE
    wanted = pieces >= 1 if attention == "split" else attention == "auto" and folded.is_cuda and pieces >= _LONG
    return wanted and few and mask.dtype == folded.dtype and splits_on(folded.device, folded.dtype)


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
