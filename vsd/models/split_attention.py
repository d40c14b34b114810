"""Attention of few rows over many keys with a mask, the keys in pieces: each piece is a batch entry of its own.

PyTorch's memory-efficient attention gives a thread block to each head and each few rows, and lets it walk over all
keys. In a decoding pass that is as many blocks as there are key heads, four in a 7B model, on a GPU with room for a
hundred and more. Here each piece of the keys has its own blocks, and the pieces are put together by how much of the
softmax is theirs: FlashDecoding's way (Dao et al. 2023), which flash attention has itself where it takes no mask.
"""

from __future__ import annotations

import torch
from torch import Tensor

PIECE = 256  # keys; a border on which every kernel takes a mask, and what a buffer's length is a multiple of

_aten = torch.ops.aten


def split_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
    """As `scaled_dot_product_attention` with this additive mask: (1, H, M, d) against (1, H, rows, d), the mask (1, 1,
    M, rows), of the query's dtype; returns (1, H, M, d). Each row sees some key, but of a piece it may see none: what
    hides keys must be finite there (`vsd.models.mask.hidden`), or the piece would count as one key."""
    heads, rows, size = key.shape[1:]
    count, pieces = query.shape[2], rows // PIECE
    whole = pieces * PIECE
    shape = (heads, pieces, PIECE, size)
    found = [
        _with_share(
            query.expand(pieces, -1, -1, -1),
            key[0, :, :whole].view(shape).transpose(0, 1),
            value[0, :, :whole].view(shape).transpose(0, 1),
            mask[0, 0, :, :whole].view(count, pieces, PIECE).transpose(0, 1)[:, None],
            scaling,
        )
    ]
    if whole < rows:
        found.append(_with_share(query, key[:, :, whole:], value[:, :, whole:], mask[:, :, :, whole:], scaling))
    mixed_SHMd, shares_SHM = (torch.cat(parts) for parts in zip(*found, strict=True))
    weights_SHM = shares_SHM.softmax(0)[..., None]
    return (weights_SHM * mixed_SHMd).sum(0, keepdim=True).to(query.dtype)


def _with_share(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> tuple[Tensor, Tensor]:
    """Attention over these keys, (S, H, M, d), and the logarithm of the sum of its weights, (S, H, M)."""
    if query.is_cuda:
        mask = mask.expand(len(key), key.shape[1], *mask.shape[2:])
        mixed, logarithms, *_ = _aten._scaled_dot_product_efficient_attention(
            query, key, value, mask, True, scale=scaling
        )
        logarithms = logarithms[:, :, : query.shape[2]]  # the kernel fills up its rows
    else:
        mixed, logarithms = _aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, attn_mask=mask, scale=scaling
        )
    return mixed, logarithms
