"""Qwen2.5-VL's tower in few operations gives the library's own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from tests.zoo_in_code import save_qwen
from vsd.models import load, qwen_tower
from vsd.types import Dtype

GRIDS = [(1, 2, 2), (2, 8, 8), (3, 10, 10), (2, 14, 6), (5, 6, 22)]  # windows have 4 x 4 patches
FULL = {"some": [1], "all": [0, 1], "none": []}
VALUES = 3 * 2 * 4 * 4  # of a patch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_qwen(tmp_path_factory.mktemp("qwen"))


def patches(grid: tuple[int, int, int]) -> dict[str, Tensor]:
    t, h, w = grid
    pixels = torch.randn(t * h * w, VALUES, generator=torch.Generator().manual_seed(0))
    return {"pixel_values_videos": pixels, "video_grid_thw": torch.tensor([grid])}


def library(folder: Path, dtype: torch.dtype, full: list[int]) -> Any:
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()
    model.model.visual.fullatt_block_indexes = full
    return model


@torch.inference_mode()
def theirs(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    features_XD: Tensor = model.get_video_features(
        inputs["pixel_values_videos"], inputs["video_grid_thw"]
    ).pooler_output[0]
    return features_XD


@torch.inference_mode()
def ours(folder: Path, dtype: Dtype, full: list[int], inputs: dict[str, Tensor]) -> Tensor:
    model = load(str(folder), dtype=dtype)
    model.model.model.visual.fullatt_block_indexes = full
    return model.features(inputs)


@pytest.mark.parametrize("full", FULL.values(), ids=FULL)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_the_librarys_features(folder: Path, grid: tuple[int, int, int], full: list[int]) -> None:
    inputs = patches(grid)
    expected = theirs(library(folder, torch.float64, full), inputs)
    torch.testing.assert_close(ours(folder, "float64", full, inputs), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("full", FULL.values(), ids=FULL)
def test_in_bfloat16_no_farther_from_the_truth_than_the_library(folder: Path, full: list[int]) -> None:
    inputs = patches((3, 10, 6))
    truth = theirs(library(folder, torch.float64, full), inputs)
    errors = [
        float((found.double() - truth).norm())
        for found in (ours(folder, "bfloat16", full, inputs), theirs(library(folder, torch.bfloat16, full), inputs))
    ]
    assert errors[0] <= 1.25 * errors[1]


def test_windows_of_one_length_are_one_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = list[tuple[int, int]]()
    plain = torch.nn.functional.scaled_dot_product_attention

    def watched(query: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        batches.append((query.shape[0], query.shape[2]))
        return plain(query, *args, **kwargs)

    monkeypatch.setattr(qwen_tower, "scaled_dot_product_attention", watched)
    ours(folder, "float32", FULL["some"], patches((3, 10, 6)))
    # 10 x 6 patches are 2 x 1 windows of 4 x 4, two edges of 4 x 2, one of 2 x 4, and a corner of 2 x 2.
    assert batches == [(3, 4), (9, 8), (6, 16), (3, 60)]


def test_more_windows_than_a_kernel_takes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = patches((3, 10, 6))
    expected = ours(folder, "float64", FULL["some"], inputs)
    monkeypatch.setattr(qwen_tower, "_MOST", 2)
    torch.testing.assert_close(ours(folder, "float64", FULL["some"], inputs), expected, rtol=1e-9, atol=1e-9)


def test_a_tower_with_flash_attention_keeps_it(folder: Path) -> None:
    tower = library(folder, torch.float32, FULL["some"]).model.visual
    tower.config._attn_implementation = "flash_attention_2"
    qwen_tower.prepare(tower)
    assert tower.config._attn_implementation == "flash_attention_2"
    assert qwen_tower.options(tower, torch.tensor([[3, 10, 6]])) == {}


def test_the_weights_keep_their_names(folder: Path) -> None:
    plain, prepared = library(folder, torch.float32, FULL["some"]), load(str(folder)).model
    assert plain.state_dict().keys() == prepared.state_dict().keys()
    prepared.save_pretrained(folder / "again")
    loaded = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder / "again")
    assert torch.equal(loaded.model.visual.patch_embed.proj.weight, plain.model.visual.patch_embed.proj.weight)
