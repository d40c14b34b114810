"""LLaVA-OneVision: a visual token shows one frame, a newline closes the video, and positions have one axis."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PreTrainedModel,
    ProcessorMixin,
    Qwen2Tokenizer,
)

from vsd.types import Grid
from vsd.zoo.small_events.drawing import SIDE
from vsd.zoo.training.family import CELLS, HEADS, MEAN, PATCH, STD, Family, Size, normalised, template


class Llava(Family):
    name: ClassVar[str] = "llava_onevision"
    specials: ClassVar[tuple[str, ...]] = ("<image>", "<video>")
    frames_per_token: ClassVar[int] = 1

    def model(self, size: Size, text: dict[str, Any], ids: dict[str, Any]) -> PreTrainedModel:
        rope = {"rope_type": "default", "rope_theta": 10000.0}
        config = LlavaOnevisionConfig(
            text_config=text | {"model_type": "qwen2", "rope_parameters": rope},
            vision_config={
                "model_type": "siglip_vision_model",
                "hidden_size": size.vision_width,
                "intermediate_size": size.vision_mlp,
                "num_hidden_layers": size.vision_layers,
                "num_attention_heads": HEADS,
                "image_size": SIDE,
                "patch_size": PATCH,
                "vision_use_head": False,
            },
            image_token_index=ids["<image>"],
            video_token_index=ids["<video>"],
            image_grid_pinpoints=[[SIDE, SIDE]],
            tie_word_embeddings=True,
        )
        return LlavaOnevisionForConditionalGeneration(config)

    def processor(self, tokenizer: Qwen2Tokenizer) -> ProcessorMixin:
        options: dict[str, Any] = {"image_mean": MEAN, "image_std": STD, "size": {"height": SIDE, "width": SIDE}}
        return LlavaOnevisionProcessor(
            image_processor=LlavaOnevisionImageProcessor(image_grid_pinpoints=[[SIDE, SIDE]], **options),
            tokenizer=tokenizer,
            video_processor=LlavaOnevisionVideoProcessor(**options),
            num_image_tokens=(SIDE // PATCH) ** 2,
            vision_feature_select_strategy="full",
            chat_template=template("<video>\n", "<image>\n"),
        )

    def see(self, model: Any, frames_PFHWC: Tensor) -> Tensor:
        """The library runs all frames at once."""
        pixels = normalised(frames_PFHWC[:, 0]).permute(0, 3, 1, 2)
        features_XD: Tensor = model.get_video_features(pixels[None]).pooler_output[0]
        return features_XD[: len(pixels) * CELLS].view(len(pixels), CELLS, -1)

    def tower(self, model: Any) -> nn.ModuleDict:
        return nn.ModuleDict({"visual": model.model.vision_tower, "projector": model.model.multi_modal_projector})

    def projector(self, model: Any) -> nn.Linear:
        linear: nn.Linear = model.model.multi_modal_projector.linear_2
        return linear

    def positions(self, before: int, grid: Grid, behind: int) -> Tensor:
        return torch.arange(before + grid.tokens + behind)[None]

    def closing(self, model: Any) -> Tensor:
        newline_D: Tensor = model.model.image_newline
        return newline_D[None]
