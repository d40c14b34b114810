"""Frames in the size that the models' processors bring them to, scaled one by one while a video is decoded.

A long video at its full size would take gigabytes until the processor makes it small. The scaling is the processor's
own, and it is told to leave these frames alone (`Video.fitted`): the pixels are the same, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional

if TYPE_CHECKING:
    from vsd.models.base import VideoLM

Scale = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """How one model sees frames."""

    family: type[VideoLM]
    processor: Any
    max_pixels: int | None = None

    def size(self, count: int, height: int, width: int) -> tuple[int, int]:
        """What its processor makes of `count` frames of a size."""
        return self.family.frame_size(
            self.processor, frames=count, height=height, width=width, max_pixels=self.max_pixels
        )

    @property
    def only_resizes(self) -> bool:
        """Whether its size is all that it changes of a frame's shape."""
        own = self.processor.video_processor
        others = ("do_center_crop", "do_pad")
        return bool(own.do_resize) and not any(getattr(own, name, None) for name in others)


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """What to do with each frame of a video that all these models will see."""

    viewers: Sequence[Viewer]

    def __call__(self, count: int, height: int, width: int) -> Scale | None:
        """How to scale each of `count` frames of this size, of shape (height, width, 3) and type uint8. None leaves
        them alone: they are no larger than needed, or the models want different ones."""
        if not all(viewer.only_resizes for viewer in self.viewers):
            return None
        try:
            sizes = {viewer.size(count, height, width) for viewer in self.viewers}
        except (ValueError, RuntimeError):  # a processor that refuses such frames says so when it gets them
            return None
        filters = {viewer.processor.video_processor.resample for viewer in self.viewers}
        size = sizes.pop()
        if sizes or len(filters) > 1 or size[0] * size[1] >= height * width:
            return None
        return _Resize(size, filters.pop())


@dataclass(frozen=True)
class _Resize:
    size: tuple[int, int]
    filter: int

    def __call__(self, frame_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        frame_CHW = torch.from_numpy(frame_HWC).permute(2, 0, 1)
        scaled: Tensor = functional.resize(frame_CHW, list(self.size), interpolation=self.filter, antialias=True)
        pixels_HWC: NDArray[np.uint8] = scaled.permute(1, 2, 0).numpy()
        return pixels_HWC
