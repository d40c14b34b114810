"""Qwen2.5-VL: a visual token shows two frames, and positions have three axes, as its models were trained."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from vsd.models import qwen_tower
from vsd.models.qwen2_5_vl import mrope_positions
from vsd.types import Grid
from vsd.zoo.small_events.drawing import SIDE
from vsd.zoo.small_events.world import FPS
from vsd.zoo.training.family import CELLS, GRID, HEADS, MEAN, PATCH, STD, Family, Size, normalised, template

_MERGE = 2  # patches of a cell along each axis
_TOKENS_PER_SECOND = 4  # on the time axis of the positions
_THETA = 10000.0


class Qwen(Family):
    name: ClassVar[str] = "qwen2_5_vl"
    specials: ClassVar[tuple[str, ...]] = (
        "<|vision_start|>",
        "<|vision_end|>",
        "<|vision_pad|>",
        "<|image_pad|>",
        "<|video_pad|>",
    )
    frames_per_token: ClassVar[int] = 2

    def model(self, size: Size, text: dict[str, Any], ids: dict[str, Any]) -> PreTrainedModel:
        pairs = size.width // HEADS // 2  # rotary pairs of a head, shared out over time, height and width
        side = pairs * 3 // 8
        rope = {"rope_type": "default", "rope_theta": _THETA, "mrope_section": [pairs - 2 * side, side, side]}
        config = Qwen2_5_VLConfig(
            text_config=text | {"rope_parameters": rope},
            vision_config={
                "depth": size.vision_layers,
                "hidden_size": size.vision_width,
                "intermediate_size": size.vision_mlp,
                "num_heads": HEADS,
                "out_hidden_size": size.width,
                "fullatt_block_indexes": list(range(size.vision_layers)),
                "tokens_per_second": _TOKENS_PER_SECOND,
            },
            image_token_id=ids["<|image_pad|>"],
            video_token_id=ids["<|video_pad|>"],
            vision_start_token_id=ids["<|vision_start|>"],
            vision_end_token_id=ids["<|vision_end|>"],
            tie_word_embeddings=True,
        )
        return Qwen2_5_VLForConditionalGeneration(config)

    def processor(self, tokenizer: Qwen2Tokenizer) -> ProcessorMixin:
        options: dict[str, Any] = {"image_mean": MEAN, "image_std": STD}
        options["size"] = {"shortest_edge": SIDE**2, "longest_edge": SIDE**2}
        return Qwen2_5_VLProcessor(
            image_processor=Qwen2VLImageProcessor(**options),
            tokenizer=tokenizer,
            video_processor=Qwen2VLVideoProcessor(cap_pixels_per_frame=True, **options),
            chat_template=template(
                "<|vision_start|><|video_pad|><|vision_end|>", "<|vision_start|><|image_pad|><|vision_end|>"
            ),
        )

    def see(self, model: Any, frames_PFHWC: Tensor) -> Tensor:
        visual = model.model.visual
        qwen_tower.prepare(visual)
        count = len(frames_PFHWC)
        grid_13 = torch.tensor([[count, GRID * _MERGE, GRID * _MERGE]], device=frames_PFHWC.device)
        pixels = _patches(frames_PFHWC).flatten(0, 1)
        features_XD: Tensor = visual(pixels, grid_thw=grid_13, **qwen_tower.options(visual, grid_13)).pooler_output
        return features_XD.view(count, CELLS, -1)

    def tower(self, model: Any) -> nn.ModuleDict:
        return nn.ModuleDict({"visual": model.model.visual})

    def projector(self, model: Any) -> nn.Linear:
        linear: nn.Linear = model.model.visual.merger.mlp[2]
        return linear

    def positions(self, before: int, grid: Grid, behind: int) -> Tensor:
        seconds = self.frames_per_token / FPS
        return mrope_positions(before, grid, behind, seconds=seconds, tokens_per_second=_TOKENS_PER_SECOND)


def _patches(frames_PFHWC: Tensor) -> Tensor:
    """(P, patches, values) in the order of the library's processor: cell by cell, the four patches of each."""
    count, frames = frames_PFHWC.shape[:2]
    split = normalised(frames_PFHWC).view(count, frames, GRID, _MERGE, PATCH, GRID, _MERGE, PATCH, 3)
    return split.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(count, CELLS * _MERGE**2, -1)
