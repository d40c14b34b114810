"""`max_pixels` bounds every frame of Qwen2.5-VL; the number of visual tokens is known before a pixel is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoProcessor, Qwen2VLVideoProcessor

from tests.conftest import Pair
from tests.zoo_in_code import PATCH, save_qwen
from vsd.models import VideoLM, inspect, load
from vsd.models.config import read_config
from vsd.models.families import FAMILIES
from vsd.models.qwen2_5_vl import Qwen25VL
from vsd.types import Video

OWN = 4096  # the pixels of a frame that the checkpoint allows, as Qwen's allow 12.8 million
TOKEN = (2 * PATCH) ** 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2.5-VL that takes frames of 4 to 64 visual tokens."""
    folder = save_qwen(tmp_path_factory.mktemp("pixels") / "model")
    settings = json.loads((folder / "processor_config.json").read_text())
    settings["video_processor"]["size"] = {"shortest_edge": 256, "longest_edge": OWN}
    (folder / "processor_config.json").write_text(json.dumps(settings))
    return folder


def film(frames: int, height: int, width: int) -> Video:
    pixels = np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return Video(frames=pixels, timestamps=np.arange(frames) / 2)


@pytest.mark.parametrize("max_pixels", [None, 1000, 512, 128, TOKEN, 2 * OWN])
def test_frames_have_at_most_so_many_pixels(max_pixels: int | None, folder: Path) -> None:
    model = load(str(folder), max_pixels=max_pixels)
    grid = model.encode(film(4, 90, 120), "?").grid
    most = max_pixels or OWN
    pixels = grid.h * grid.w * TOKEN
    assert pixels <= most
    assert pixels > most / 4 or pixels == TOKEN  # it is a bound, not another size
    small = model.encode(film(4, 16, 16), "?").grid
    assert small.h * small.w * TOKEN <= max(256, min(most, 256))


def test_both_models_of_a_pair_see_the_same_grid(folder: Path) -> None:
    target, draft = (load(str(folder), max_pixels=700, field=role) for role in ("target", "draft"))
    video = film(6, 100, 60)
    assert target.encode(video, "?").grid == draft.encode(video, "?").grid
    assert target.twin().encode(video, "?").grid == target.narrow(100).encode(video, "?").grid


@settings(deadline=None)
@given(
    frames=st.integers(1, 9),
    height=st.integers(8, 200),
    width=st.integers(8, 200),
    max_pixels=st.none() | st.integers(TOKEN, OWN),
)
def test_the_number_of_tokens_is_known_beforehand(
    folder: Path, frames: int, height: int, width: int, max_pixels: int | None
) -> None:
    known = counted(folder, frames=frames, height=height, width=width, max_pixels=max_pixels)
    assert model_of(folder, max_pixels).encode(film(frames, height, width), "?").grid.tokens == known


def test_that_of_a_llava_too(pair: Pair) -> None:
    known = counted(pair.target_path, frames=5, height=50, width=70)
    assert pair.target.encode(film(5, 50, 70), "?").grid.tokens == known


def test_the_published_numbers() -> None:
    """128 frames with the settings of Qwen's repositories: 19,136 tokens at 360p, 76,544 at 720p, 111,104 at 1080p."""

    class Processor:
        video_processor = Qwen2VLVideoProcessor(size={"shortest_edge": 128 * 28 * 28, "longest_edge": 12_845_056})

    class Config:
        class vision_config:  # noqa: N801
            spatial_merge_size = 2

    def tokens(height: int, width: int, max_pixels: int | None = None) -> int:
        size: dict[str, Any] = {"frames": 128, "height": height, "width": width}
        return Qwen25VL.visual_tokens(Config, Processor, max_pixels=max_pixels, **size)

    assert [tokens(360, 640), tokens(720, 1280), tokens(1080, 1920)] == [19_136, 76_544, 111_104]
    assert tokens(720, 1280, 100_352) == 7_680


@pytest.mark.parametrize("max_pixels", [0, TOKEN - 1, 2.5, "many", True])
def test_values_that_are_none(max_pixels: Any, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^draft\.max_pixels: must be null or a whole number, .* 8 x 8 pixels, got"):
        inspect(str(folder), max_pixels=max_pixels, field="draft")


def test_a_family_with_frames_of_one_size_refuses(pair: Pair) -> None:
    if pair.family == "qwen2_5_vl":
        pytest.skip("its frames have any size")
    message = r"^target\.max_pixels: must be null, the frames of llava_onevision have one size, got 1000"
    with pytest.raises(ValueError, match=message):
        inspect(str(pair.target_path), max_pixels=1000)


_MODELS: dict[int | None, VideoLM] = {}


def model_of(folder: Path, max_pixels: int | None) -> VideoLM:
    """The model with another bound; its weights are loaded once."""
    if None not in _MODELS:
        _MODELS[None] = load(str(folder))
    own = _MODELS[None]
    return type(own)(own.model, own.processor, name=own.name, max_pixels=max_pixels)


def counted(folder: Path, **size: Any) -> int:
    config = read_config(folder, field="target")
    return FAMILIES[config.model_type][0].visual_tokens(config, AutoProcessor.from_pretrained(folder), **size)
