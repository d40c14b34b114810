"""What differs between the families: classes, special tokens, how a frame is seen, and positions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, ProcessorMixin, Qwen2Tokenizer

from vsd.types import Grid
from vsd.zoo.small_events.drawing import CELL, SIDE

GRID = SIDE // CELL  # visual tokens along each axis of a frame
CELLS = GRID**2
HEADS = 4
PATCH = 14  # pixels
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]
_TURN = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}VIDEO{% elif part['type'] == 'image' %}IMAGE"
    "{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Size:
    """Depth and width of a model's text and vision parts."""

    layers: int
    width: int
    vision_layers: int
    vision_width: int

    @property
    def vision_mlp(self) -> int:
        return 4 * self.vision_width


class Family(ABC):
    """One family of models. A visual token shows one cell in `frames_per_token` frames, P of which are a patch."""

    name: ClassVar[str]
    specials: ClassVar[tuple[str, ...]]
    frames_per_token: ClassVar[int]

    @abstractmethod
    def model(self, size: Size, text: dict[str, Any], ids: dict[str, Any]) -> PreTrainedModel:
        """A freshly initialised model; `text` is its text model's config, `ids` are those of `specials`."""

    @abstractmethod
    def processor(self, tokenizer: Qwen2Tokenizer) -> ProcessorMixin:
        """The processor; frames of SIDE x SIDE pass at their own size, others are scaled to about as many pixels."""

    @abstractmethod
    def see(self, model: Any, frames_PFHWC: Tensor) -> Tensor:
        """The projected features (P, CELLS, D) of uint8 patches (P, frames_per_token, SIDE, SIDE, 3), in one pass.
        They are the library's to rounding, since no patch sees another one."""

    @abstractmethod
    def tower(self, model: Any) -> nn.ModuleDict:
        """The parts that see, projector included."""

    @abstractmethod
    def projector(self, model: Any) -> nn.Linear:
        """The last layer of the tower."""

    @abstractmethod
    def positions(self, before: int, grid: Grid, behind: int) -> Tensor:
        """Rotary positions (axes, T) of `before` text tokens, a video, and `behind` tokens after it."""

    def closing(self, model: Any) -> Tensor:
        """Embeddings (E, D) that follow the visual tokens of every video and are never pruned."""
        return torch.empty(0, model.config.text_config.hidden_size, device=model.device)

    def grid(self, frames: int) -> Grid:
        """The visual tokens of a clip."""
        return Grid(frames // self.frames_per_token, GRID, GRID)


def template(video: str, image: str) -> str:
    """A chat template with these placeholders for media."""
    return _TURN.replace("VIDEO", video).replace("IMAGE", image)


def normalised(frames: Tensor) -> Tensor:
    """uint8 (..., 3) as the processors make it, still with colours last."""
    mean, std = (255 * torch.tensor(values, device=frames.device) for values in (MEAN, STD))
    return frames.float().sub_(mean).div_(std)
