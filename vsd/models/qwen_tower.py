"""The vision tower of Qwen2.5-VL in few large operations: the library's own forward, and the same numbers to rounding.

The tower attends inside windows, and in some blocks inside whole frames. Without a flash-attention package the library
calls attention once for each: thousands of small calls for a video. It also takes the order of the patches and the
ends of their segments from its caller. So it is told of one segment that is all patches, in an order in which windows
of one length stand together, and the attention function registered here runs all windows of a length as one batch.

The patch embedding is a convolution whose steps are as long as its kernel, so it is a matrix product, which is faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.vision_utils import get_vision_window_index

from vsd.models import tower_attention

NAME = "vsd_segments"

_MOST = 2**15  # segments of a batch: CUDA's kernels take fewer than 2**16


@dataclass(frozen=True)
class Segments:
    """Which of N patches attend to each other: `runs` of (count, length), so many segments of so many patches side by
    side, with the patches in the order `order_N` (None: as they are)."""

    runs: Sequence[tuple[int, int]]
    order_N: Tensor | None = None


class PatchProduct(nn.Module):
    """A convolution over patches of its kernel's size, (N, ...) to (N, D), as a product with the same weight."""

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self.weight = convolution.weight

    def forward(self, patches: Tensor) -> Tensor:
        return patches.flatten(1) @ self.weight.flatten(1).T


def prepare(tower: Any) -> None:
    """Have the tower embed its patches by a product, and let `options` say what attends to what. A tower with flash
    attention keeps it, which takes all segments in one call."""
    embed = tower.patch_embed
    if isinstance(embed.proj, nn.Conv3d) and embed.proj.bias is None and embed.proj.kernel_size == embed.proj.stride:
        embed.proj = PatchProduct(embed.proj)
    if tower.config._attn_implementation == "sdpa":
        tower.set_attn_implementation(NAME)


def options(tower: Any, grid_13: Tensor) -> dict[str, Any]:
    """What the forward of a prepared tower is told beside the patches of one video and its grid (t, h, w)."""
    if tower.config._attn_implementation != NAME:
        return {}
    t, h, w = grid_13[0].tolist()
    unit = tower.spatial_merge_unit  # patches of a cell, which is what the library orders
    cells = h * w // unit
    cells_C, order_N = torch.arange(t * cells), None
    segments = dict[nn.Module, Segments]()
    windowed = [block.attn for number, block in enumerate(tower.blocks) if number not in tower.fullatt_block_indexes]
    if windowed:
        cells_C, ends = get_vision_window_index(
            grid_13.cpu(), tower.spatial_merge_size, tower.window_size, tower.patch_size
        )
        lengths = ends.diff()
        by_length_C = lengths.repeat_interleave(lengths // unit).argsort(stable=True)
        cells_C = cells_C[by_length_C]
        by_frame_C = (cells_C // cells).argsort(stable=True)
        order_N = (by_frame_C[:, None] * unit + torch.arange(unit)).flatten().to(grid_13.device)
        segments = dict.fromkeys(windowed, Segments(_runs(lengths)))
    frames = Segments(_runs(torch.full((t,), h * w)), order_N)
    segments |= {block.attn: frames for block in tower.blocks if block.attn not in segments}
    all_patches = torch.tensor([0, t * h * w], dtype=torch.int32)  # on the CPU: the library reads it in every block
    return {
        "cu_seqlens": all_patches,
        "cu_window_seqlens": all_patches,
        "window_index": cells_C.to(grid_13.device),
        "segments": segments,
    }


def by_cell(received_N: Tensor, tower: Any, prepared: Mapping[str, Any]) -> Tensor:
    """What each cell of the merged grid received in the last block, in raster/time order: (N / patches of a cell,).
    `received_N` is in the order of that block's segments, `prepared` is what `options` gave."""
    order_N = prepared["segments"][tower.blocks[-1].attn].order_N
    if order_N is not None:
        received_N = torch.empty_like(received_N).index_copy_(0, order_N, received_N)
    cells_C = received_N.unflatten(0, (-1, tower.spatial_merge_unit)).mean(1)
    return torch.empty_like(cells_C).index_copy_(0, prepared["window_index"], cells_C)


def _runs(lengths: Tensor) -> list[tuple[int, int]]:
    """Runs of these segments, the shortest first."""
    sizes, counts = lengths.unique(return_counts=True)
    pairs = zip(sizes.tolist(), counts.tolist(), strict=True)
    return [(min(_MOST, count - done), length) for length, count in pairs for done in range(0, count, _MOST)]


def attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    segments: Mapping[nn.Module, Segments] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention inside the module's segments, (1, H, N, d) to (1, N, H, d). Without `segments` the N patches are one,
    as for the library's own."""
    if segments is None:
        mixed, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return mixed, None
    mine = segments[module]
    parts = [part[0].transpose(0, 1) for part in (query, key, value)]  # (N, H, d), as they lie in memory
    order_N = None if mine.order_N is None else mine.order_N.to(query.device)
    if order_N is not None:
        parts = [part[order_N] for part in parts]
    outputs, start = list[Tensor](), 0
    for count, length in mine.runs:
        end = start + count * length
        q, k, v = (part[start:end].unflatten(0, (count, length)).transpose(1, 2) for part in parts)
        tower_attention.show(module, q, k, kwargs["scaling"])
        outputs.append(scaled_dot_product_attention(q, k, v, scale=kwargs["scaling"]).transpose(1, 2).flatten(0, 1))
        start = end
    mixed_NHd = torch.cat(outputs)
    if order_N is not None:
        mixed_NHd = torch.empty_like(mixed_NHd).index_copy_(0, order_N, mixed_NHd)
    return mixed_NHd[None], None


AttentionInterface.register(NAME, attention_forward)
