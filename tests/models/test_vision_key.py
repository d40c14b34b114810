"""Two models have one key exactly if the one's vision features are the other's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Pair
from tests.kin import one_step, save_kin
from vsd.models import VideoLM, load
from vsd.types import Video

QUESTION = "Where is it?"


@pytest.fixture(scope="module")
def folder(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_kin(pair.target_path, pair.draft_path, tmp_path_factory.mktemp(pair.family) / "kin")


@pytest.fixture(scope="module")
def kin(folder: Path) -> VideoLM:
    return load(str(folder), dtype="float64")


def test_what_is_adopted_is_what_would_be_encoded(pair: Pair, kin: VideoLM, video: Video) -> None:
    theirs, own = pair.target.encode(video, QUESTION), kin.encode(video, QUESTION)
    adopted = kin.adopt(theirs)
    assert kin.vision_key == pair.target.vision_key
    for each in fields(own):
        ours, expected = getattr(adopted, each.name), getattr(own, each.name)
        assert torch.equal(ours, expected) if isinstance(ours, torch.Tensor) else ours == expected
    assert not torch.equal(adopted.embeds_TD, theirs.embeds_TD)  # the words are its own


def test_a_draft_with_a_tower_of_its_own(pair: Pair) -> None:
    assert pair.draft.vision_key != pair.target.vision_key


def test_the_same_model_in_another_form(pair: Pair) -> None:
    target = load(str(pair.target_path), dtype="float64")
    forms = [target.narrow(100), target.trim([1, 2, 3]), target.twin(), load(str(pair.target_path), dtype="float64")]
    assert {each.vision_key for each in forms} == {pair.target.vision_key}


def test_one_bit_of_one_weight(pair: Pair, tmp_path: Path) -> None:
    other = save_kin(pair.target_path, pair.draft_path, tmp_path / "kin", one_step)
    assert load(str(other), dtype="float64").vision_key != pair.target.vision_key


def set_video(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["video_processor"].__setitem__(name, value)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("processor_config.json", set_video("image_mean", [0.5, 0.4578275, 0.40821073])),
        ("processor_config.json", set_video("resample", 2)),
        ("config.json", lambda config: config["vision_config"].update(hidden_act="relu")),
    ],
    ids=["mean", "resample", "activation"],
)
def test_other_settings(
    folder: Path, kin: VideoLM, tmp_path: Path, file: str, change: Callable[[dict[str, Any]], None]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for each in folder.iterdir():
        (other / each.name).write_bytes(each.read_bytes())
    config = json.loads((other / file).read_text(encoding="utf-8"))
    change(config)
    (other / file).write_text(json.dumps(config), encoding="utf-8")
    assert load(str(other), dtype="float64").vision_key != kin.vision_key


def test_another_chat_template(folder: Path, kin: VideoLM, tmp_path: Path) -> None:
    other = load(str(folder), dtype="float64")
    other.processor.chat_template += " "
    assert other.vision_key != kin.vision_key


@pytest.mark.parametrize("options", [{"dtype": "float32"}, {"rope": "library"}, {"max_pixels": 128}], ids=str)
def test_other_options(pair: Pair, folder: Path, kin: VideoLM, options: dict[str, Any]) -> None:
    if "max_pixels" in options and pair.family == "llava_onevision":
        pytest.skip("its frames have one size")
    assert load(str(folder), **{"dtype": "float64", **options}).vision_key != kin.vision_key
