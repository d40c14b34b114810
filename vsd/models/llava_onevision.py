"""LLaVA-OneVision (arXiv 2408.03326): a pooled square grid per frame and one closing newline, one position axis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from vsd.models import tower_attention
from vsd.models.base import VideoLM
from vsd.models.tower_attention import received_in
from vsd.types import Grid


class LlavaOneVision(VideoLM):
    """Adapter over transformers' `LlavaOnevisionForConditionalGeneration`."""

    model_type: ClassVar[str] = "llava_onevision"

    def __init__(self, model: Any, processor: Any, **options: Any) -> None:
        super().__init__(model, processor, **options)
        tower = model.model.vision_tower
        self._tower = getattr(tower, "vision_model", tower)  # one level deeper before 5.24
        if self._tower.config._attn_implementation == "sdpa":
            self._tower.set_attn_implementation(tower_attention.NAME)

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        pixels = inputs["pixel_values_videos"].to(self.model.dtype)
        features_XD: Tensor = self.model.get_video_features(pixels).pooler_output[0]
        if len(features_XD) == self.grid(inputs).tokens:  # transformers before 5.23 appends the newline elsewhere
            features_XD = torch.cat((features_XD, self.model.model.image_newline[None].to(features_XD.device)))
        return features_XD

    def vision_attention(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        with received_in(self._tower.encoder.layers[-1].self_attn) as received:
            features_XD = self.features(inputs)
        pooled = self.model.model.apply_pooling(torch.stack(received)[..., None])  # as the features are
        return features_XD, pooled.flatten()

    @staticmethod
    def grid_of(config: Any, inputs: Mapping[str, Tensor]) -> Grid:
        vision = config.vision_config
        side = math.ceil(vision.image_size // vision.patch_size / 2)
        return Grid(inputs["pixel_values_videos"].shape[1], side, side)

    @staticmethod
    def frame_size_of(processor: Any, inputs: Mapping[str, Tensor]) -> tuple[int, int]:
        height, width = inputs["pixel_values_videos"].shape[-2:]
        return height, width

    def positions(self, inputs: Mapping[str, Tensor]) -> Tensor:
        ids = inputs["input_ids"]
        return torch.arange(ids.shape[1], device=ids.device)[None]
