"""Qwen2.5-VL (arXiv 2502.13923): visual tokens on a merged (t, h, w) grid, three-axis rotary positions (M-RoPE)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from vsd.fields import is_whole
from vsd.models.base import VideoLM
from vsd.types import Grid


class Qwen25VL(VideoLM):
    """Adapter over transformers' `Qwen2_5_VLForConditionalGeneration`."""

    model_type: ClassVar[str] = "qwen2_5_vl"
    # Bounds the pixels of long videos as the authors' own preprocessing does.
    video_options: ClassVar[Mapping[str, Any]] = {"cap_pixels_per_frame": True}

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        output = self.model.get_video_features(inputs["pixel_values_videos"], inputs["video_grid_thw"])
        return torch.cat(tuple(output.pooler_output))

    @classmethod
    def frame_options(cls, processor: Any, max_pixels: int | None, *, field: str = "model") -> Mapping[str, Any]:
        if max_pixels is None:
            return cls.video_options
        own = processor.video_processor
        side = own.patch_size * own.merge_size  # of the square of pixels that is one visual token
        if not is_whole(max_pixels, least=side**2):
            rule = f"must be null or a whole number, at least one visual token's {side} x {side} pixels"
            raise ValueError(f"{field}.max_pixels: {rule}, got {max_pixels!r}")
        # The cap on long videos never goes below 1.05 times the least number of pixels.
        least = min(own.size["shortest_edge"], int(max_pixels / 1.05))
        return {**cls.video_options, "size": {"shortest_edge": least, "longest_edge": max_pixels}}

    @staticmethod
    def grid_of(config: Any, inputs: Mapping[str, Tensor]) -> Grid:
        t, h, w = inputs["video_grid_thw"][0].tolist()
        merge = config.vision_config.spatial_merge_size
        return Grid(t, h // merge, w // merge)

    def positions(self, inputs: Mapping[str, Tensor]) -> Tensor:
        ids = inputs["input_ids"]
        positions, _ = self.model.model.get_rope_index(
            ids,
            mm_token_type_ids=(ids == self._video_token).int() * 2,  # 2 marks a video
            video_grid_thw=inputs["video_grid_thw"],
            second_per_grid_ts=inputs["second_per_grid_ts"],
        )
        return positions[:, 0]
