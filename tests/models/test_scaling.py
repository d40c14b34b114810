"""Frames that are scaled one by one while a video is decoded give a model the pixels that it would have got anyway."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.models.test_pixels import OWN, TOKEN
from tests.zoo_in_code import SIDE, save_llava, save_qwen
from vsd.models import VideoLM, load
from vsd.models.base import chat
from vsd.models.scaling import Scaling
from vsd.types import SampleError, Video

SAVE = {"qwen2_5_vl": save_qwen, "llava_onevision": save_llava}
LARGER = [(1, 90, 120), (2, 67, 131), (3, 131, 67), (5, 300, 131), (6, 72, 500), (7, 100, 100)]
SMALLER = [(1, 12, 12), (4, 9, 20), (5, 15, 17)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, VideoLM]:
    """One of each family; the Qwen takes frames of 4 to 64 visual tokens, the LLaVA squares of 16 pixels."""
    found = {family: load(str(save(tmp_path_factory.mktemp(family)))) for family, save in SAVE.items()}
    size = {"shortest_edge": 256, "longest_edge": OWN}
    return found | {"qwen2_5_vl": with_settings(found["qwen2_5_vl"], {"size": size})}


def with_settings(model: VideoLM, settings: Mapping[str, Any]) -> VideoLM:
    """The same model with other settings of its video processor."""
    processor = deepcopy(model.processor)
    for name, value in settings.items():
        setattr(processor.video_processor, name, value)
    return type(model)(model.model, processor, name=model.name)


def film(count: int, height: int, width: int) -> Video:
    """Noise, and a slope beside it."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    pixels[:, :, width // 2 :] = np.linspace(0, 255, width - width // 2, dtype=np.uint8)[:, None]
    return Video(frames=pixels, timestamps=np.arange(count) / 2)


def scaled(video: Video, *models: VideoLM) -> Video | None:
    scale = Scaling(viewers=[model.viewer for model in models])(*video.frames.shape[:3])
    return scale and replace(video, frames=np.stack([scale(frame) for frame in video.frames]), fitted=True)


def pixels(model: VideoLM, video: Video) -> torch.Tensor:
    values: torch.Tensor = model._inputs(video, chat(model.processor, "?"))["pixel_values_videos"]
    return values


@pytest.mark.parametrize("size", LARGER)
@pytest.mark.parametrize(("family", "most"), [("qwen2_5_vl", None), ("qwen2_5_vl", 1000), ("llava_onevision", None)])
def test_the_pixels_are_the_same(
    family: str, most: int | None, size: tuple[int, int, int], models: dict[str, VideoLM]
) -> None:
    own = models[family]
    model = type(own)(own.model, own.processor, name=own.name, max_pixels=most)
    video = film(*size)
    small = scaled(video, model)
    assert small is not None
    assert small.frames[0].size < video.frames[0].size
    assert torch.equal(pixels(model, small), pixels(model, video))
    assert torch.equal(model.encode(small, "?").embeds_TD, model.encode(video, "?").embeds_TD)


def test_frames_have_the_size_that_the_processor_says(models: dict[str, VideoLM]) -> None:
    large = film(2, 90, 120)
    assert models["llava_onevision"].viewer.size(2, 90, 120) == (SIDE, SIDE)
    height, width = models["qwen2_5_vl"].viewer.size(2, 90, 120)
    grid = models["qwen2_5_vl"].encode(large, "?").grid
    assert height * width == grid.h * grid.w * TOKEN
    for model in models.values():
        small = scaled(large, model)
        assert small is not None
        assert small.frames.shape[1:3] == model.viewer.size(2, 90, 120)


@pytest.mark.parametrize("size", SMALLER)
@pytest.mark.parametrize("family", SAVE)
def test_small_frames_are_left_alone(family: str, size: tuple[int, int, int], models: dict[str, VideoLM]) -> None:
    assert scaled(film(*size), models[family]) is None


def test_two_models_that_want_the_same(models: dict[str, VideoLM]) -> None:
    model = models["llava_onevision"]
    assert scaled(film(2, 90, 120), model, model.twin()) is not None


def test_two_models_that_want_different_sizes_or_filters(models: dict[str, VideoLM]) -> None:
    assert scaled(film(2, 90, 120), *models.values()) is None
    sharper = with_settings(models["llava_onevision"], {"resample": 0})
    assert scaled(film(2, 90, 120), sharper) is not None
    assert scaled(film(2, 90, 120), models["llava_onevision"], sharper) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"do_center_crop": True, "crop_size": {"height": 8, "width": 8}},
        {"do_pad": True},
        {"do_resize": False},
    ],
)
def test_processors_that_do_more_than_scale(settings: dict[str, Any], models: dict[str, VideoLM]) -> None:
    assert scaled(film(2, 90, 120), with_settings(models["llava_onevision"], settings)) is None


def test_frames_that_the_processor_refuses(models: dict[str, VideoLM]) -> None:
    """It says so itself when it gets them."""
    assert scaled(film(2, 2, 1000), models["qwen2_5_vl"]) is None
    with pytest.raises(SampleError, match="aspect ratio"):
        models["qwen2_5_vl"].encode(film(2, 2, 1000), "?")
