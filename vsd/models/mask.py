"""Additive attention masks of a step's nodes, from one buffer, at addresses that every attention kernel takes.

PyTorch's memory-efficient attention on CUDA reads a mask in pieces of 16 bytes: its first element must lie on such a
border, and so must each row, or it is copied in every layer (a row that needs no padding and starts elsewhere ends in
"attn_bias_ptr is not correctly aligned"). So views start at the buffer's first element and rows are multiples of
`ALIGNED` elements apart, in every dtype.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vsd.models.tree import ancestors

ALIGNED = 8  # elements: 16 bytes in half precision
_KEPT_BLOCKS = 16


def hidden(dtype: torch.dtype) -> float:
    """What an additive mask holds where nothing is to be seen: far below every score, but finite, also when a kernel
    multiplies it by log2(e) in float32. Of infinities alone kernels make means and sums of weights of their own."""
    return torch.finfo(dtype).min / 2


class Mask:
    """The masks of one state's steps. Only the last columns of a mask depend on the tree, everything before them is
    visible: so one buffer of zeros serves all steps, and each writes its block behind taking the last one's away.

    A mask is valid until the next one is made.
    """

    def __init__(self, *, width: int, groups: int, like: Tensor) -> None:
        """`width`: the most columns of a mask. `groups`: query heads per key/value head. `like`: a tensor of the masks'
        dtype and device."""
        self._groups = groups
        self._like = like
        self._buffer = like.new_zeros(0, -(-width // ALIGNED) * ALIGNED)
        self._written: Tensor | None = None
        self._blocks: dict[tuple[tuple[int, ...], int], Tensor] = {}

    def of(self, tree: tuple[int, ...], first: int, rows: int) -> Tensor:
        """The mask of the nodes from `first` on over `rows` keys, the last of which are the tree's: (1, 1, groups * M,
        rows), repeated for the query heads that share a key/value head."""
        count = self._groups * (len(tree) - first)
        if count > len(self._buffer):
            self._buffer = self._like.new_zeros(count, self._buffer.shape[1])
        elif self._written is not None:
            self._written.zero_()
        self._written = self._buffer[:count, rows - len(tree) : rows]
        self._written.copy_(self._block(tree, first))
        return self._buffer[None, None, :count, :rows]

    def _block(self, tree: tuple[int, ...], first: int) -> Tensor:
        key = (tree, first)
        if key not in self._blocks:
            if len(self._blocks) >= _KEPT_BLOCKS:
                self._blocks.clear()
            hidden_MN = ~ancestors(tree)[first:]
            block_MN = torch.zeros(hidden_MN.shape, dtype=self._like.dtype)
            block_MN.masked_fill_(hidden_MN, hidden(self._like.dtype))
            self._blocks[key] = block_MN.repeat(self._groups, 1).to(self._like.device)
        return self._blocks[key]
