"""Qwen2.5-VL (arXiv 2502.13923): visual tokens on a merged (t, h, w) grid, three-axis rotary positions (M-RoPE)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

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

    def grid(self, inputs: Mapping[str, Tensor]) -> Grid:
        t, h, w = inputs["video_grid_thw"][0].tolist()
        merge = self.model.config.vision_config.spatial_merge_size
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
