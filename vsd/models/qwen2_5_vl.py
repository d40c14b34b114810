"""Qwen2.5-VL (arXiv 2502.13923): visual tokens on a merged (t, h, w) grid, three-axis rotary positions (M-RoPE)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from vsd.models import qwen_tower
from vsd.models.base import VideoLM
from vsd.models.tower_attention import received_in
from vsd.types import Grid
from vsd.utils.validation import is_whole


class Qwen25VL(VideoLM):
    """Adapter over transformers' `Qwen2_5_VLForConditionalGeneration`."""

    model_type: ClassVar[str] = "qwen2_5_vl"

    def __init__(self, model: Any, processor: Any, **options: Any) -> None:
        super().__init__(model, processor, **options)
        qwen_tower.prepare(model.model.visual)

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        tower, grid_13 = self.model.model.visual, inputs["video_grid_thw"]
        pixels = inputs["pixel_values_videos"].to(tower.dtype)
        features_XD: Tensor = tower(pixels, grid_thw=grid_13, **qwen_tower.options(tower, grid_13)).pooler_output
        return features_XD

    def vision_attention(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        tower = self.model.model.visual
        options = qwen_tower.options(tower, inputs["video_grid_thw"])
        if not options:
            raise ValueError(f"vision_attention: {self.name} must run its tower without flash attention, got it")
        with received_in(tower.blocks[-1].attn) as received:
            features_XD = self.features(inputs)
        return features_XD, qwen_tower.by_cell(torch.cat(received), tower, options)

    @classmethod
    def frame_options(cls, processor: Any, max_pixels: int | None, *, field: str = "model") -> Mapping[str, Any]:
        own = processor.video_processor
        # Bounds the pixels of long videos as the authors' own preprocessing does; later versions do it unasked.
        options = {"cap_pixels_per_frame": True} if hasattr(own, "cap_pixels_per_frame") else {}
        if max_pixels is None:
            return options
        side = own.patch_size * own.merge_size  # of the square of pixels that is one visual token
        if not is_whole(max_pixels, least=side**2):
            rule = f"must be null or a whole number, at least one visual token's {side} x {side} pixels"
            raise ValueError(f"{field}.max_pixels: {rule}, got {max_pixels!r}")
        # The cap on long videos never goes below 1.05 times the least number of pixels.
        least = min(own.size["shortest_edge"], int(max_pixels / 1.05))
        return options | {"size": {"shortest_edge": least, "longest_edge": max_pixels}}

    @staticmethod
    def grid_of(config: Any, inputs: Mapping[str, Tensor]) -> Grid:
        t, h, w = inputs["video_grid_thw"][0].tolist()
        merge = config.vision_config.spatial_merge_size
        return Grid(t, h // merge, w // merge)

    @property
    def frames_per_step(self) -> int:
        count: int = self.model.config.vision_config.temporal_patch_size
        return count

    @staticmethod
    def frame_size_of(processor: Any, inputs: Mapping[str, Tensor]) -> tuple[int, int]:
        _, h, w = inputs["video_grid_thw"][0].tolist()
        side = processor.video_processor.patch_size
        return h * side, w * side

    def positions(self, inputs: Mapping[str, Tensor]) -> Tensor:
        if self.rope == "library":
            return self._library_positions(inputs)
        ids_T = inputs["input_ids"][0]
        grid = self.grid(inputs)
        before = int((ids_T == self._video_token).int().argmax())
        return mrope_positions(
            before,
            grid,
            ids_T.shape[0] - before - grid.tokens,
            seconds=float(inputs["second_per_grid_ts"][0]),
            tokens_per_second=self.model.config.vision_config.tokens_per_second,
        ).to(ids_T.device)

    def _library_positions(self, inputs: Mapping[str, Tensor]) -> Tensor:
        ids = inputs["input_ids"]
        positions, _ = self.model.model.get_rope_index(
            ids,
            mm_token_type_ids=(ids == self._video_token).int() * 2,  # 2 marks a video
            video_grid_thw=inputs["video_grid_thw"],
            second_per_grid_ts=inputs["second_per_grid_ts"],
        )
        positions_PT: Tensor = positions[:, 0]
        return positions_PT


def mrope_positions(before: int, grid: Grid, behind: int, *, seconds: float, tokens_per_second: float) -> Tensor:
    """positions_3T (time, height, width) of `before` text tokens, one video and `behind` text tokens, as Qwen2.5-VL was
    trained (its authors' first code, arXiv 2502.13923; vLLM has the same).

    Two rules: the text behind a video goes on at the maximum over all three axes + 1, and patches that are `seconds`
    apart lie `tokens_per_second` times that apart on the time axis, cut to a whole number only at the end.
    transformers has other rules in some versions: 5.3 and later let the text go on at start + max(height, width), in
    the midst of a long video's time axis; 5.17 and some before cut the interval itself to whole seconds.
    """
    steps_t = (torch.arange(grid.t) * seconds * tokens_per_second).long()
    video_3V = torch.stack(torch.meshgrid(steps_t, torch.arange(grid.h), torch.arange(grid.w), indexing="ij"))
    video_3V = video_3V.flatten(1) + before
    behind_B = torch.arange(behind) + int(video_3V.max()) + 1
    return torch.cat((torch.arange(before).expand(3, -1), video_3V, behind_B.expand(3, -1)), dim=1)
