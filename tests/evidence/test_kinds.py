"""Each kind of evidence that names a layer or a tower, against what the stock models show of themselves."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.vision_utils import get_vision_window_index

from tests.collected import collected, collector_of
from tests.conftest import Pair
from vsd.types import Evidence, Prompt, Video

LAYERS = (1, 2, 3)
NEEDS = [f"{kind}:{layer}" for kind in ("attention", "video_attention", "keys") for layer in LAYERS]
QUESTION = "Where is it?"
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-7}  # transformers' eager attention has its softmax in float32


@pytest.fixture(scope="module")
def stock(pair: Pair) -> Any:
    """The checkpoint as transformers loads it."""
    return type(pair.target.model).from_pretrained(pair.target_path, dtype=torch.float64).eval()


@pytest.fixture(scope="module")
def prompt(pair: Pair, video: Video) -> Prompt:
    return pair.target.encode(video, QUESTION)


@pytest.fixture(scope="module")
def evidence(pair: Pair, prompt: Prompt) -> Evidence:
    return collected(pair.target, prompt, NEEDS)[2]


@pytest.fixture(scope="module")
def read(stock: Any, prompt: Prompt) -> Any:
    """What the stock text model returns of the prompt, attention weights and cache with it."""
    text = stock.model.language_model
    text.set_attn_implementation("eager")
    positions = prompt.positions_PT[:, None] if len(prompt.positions_PT) > 1 else prompt.positions_PT
    with torch.inference_mode():
        return text(
            inputs_embeds=prompt.embeds_TD[None], position_ids=positions, output_attentions=True, use_cache=True
        )


@pytest.mark.parametrize("layer", LAYERS)
def test_attention_of_a_layer(evidence: Evidence, read: Any, prompt: Prompt, layer: int) -> None:
    rows_HSV = read.attentions[layer - 1][0, :, prompt.suffix :, prompt.visual_V]
    torch.testing.assert_close(evidence[f"attention:{layer}"], rows_HSV.mean((0, 1)), **CLOSE)
    shares_HSV = rows_HSV / rows_HSV.sum(-1, keepdim=True)
    torch.testing.assert_close(evidence[f"video_attention:{layer}"], shares_HSV.mean((0, 1)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_keys_of_a_layer(evidence: Evidence, read: Any, prompt: Prompt, layer: int) -> None:
    key = read.past_key_values.layers[layer - 1].keys[0]  # (heads, T, size)
    expected = torch.stack([key[:, place].flatten() for place in prompt.visual_V.tolist()])
    torch.testing.assert_close(evidence[f"keys:{layer}"], expected, rtol=1e-5, atol=1e-6)


def test_a_mean_over_layers_is_that_of_each(pair: Pair, prompt: Prompt) -> None:
    every = [f"attention:{layer}" for layer in range(1, pair.target.depth + 1)]
    found = collected(pair.target, prompt, ["attention", *every])[2]
    torch.testing.assert_close(found["attention"], torch.stack([found[need] for need in every]).mean(0))


def test_a_share_of_the_depth_is_a_layer(pair: Pair, prompt: Prompt) -> None:
    assert pair.target.depth == 3
    for kind in ("attention", "video_attention", "keys"):
        found = collected(pair.target, prompt, {f"{kind}:0.5", f"{kind}:2"})[2]
        assert torch.equal(found[f"{kind}:0.5"], found[f"{kind}:2"])


def test_keys_are_there_behind_their_layer(pair: Pair, prompt: Prompt) -> None:
    """Before the prefill has ended, and the same as at its end."""
    expected = collected(pair.target, prompt, {"keys:2"})[2]["keys:2"]
    collector = collector_of(pair.target, prompt, {"keys:2", "hidden:1.0"})
    prefill = pair.target.start_prefill(prompt, collector=collector)
    assert collector.stage({"keys:2"}) == 2
    assert prefill.until(2)
    early = collector.evidence({"keys:2"})
    assert set(early.values) == {"keys:2"}
    assert torch.equal(early["keys:2"], expected)
    logits_W = prefill.finish()
    torch.testing.assert_close(logits_W, pair.target.prefill(prompt)[1])
    assert torch.equal(collector.evidence()["keys:2"], expected)


# What the vision tower looks at --------------------------------------------------------------------------------------


def test_what_the_vision_tower_attends_to(pair: Pair, stock: Any, video: Video) -> None:
    prompt = pair.target.encode(video, QUESTION, vision_attention=True)
    inputs = pair.target._read(video, QUESTION)
    expected = {"qwen2_5_vl": received_in_qwen, "llava_onevision": received_in_siglip}[pair.family](stock, inputs)
    found = collected(pair.target, prompt, {"vision_attention"})[2]["vision_attention"]
    assert found.shape == (prompt.grid.tokens,)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7, check_dtype=False)
    assert found.std() > 0.05 * found.mean(), "it must tell the tokens apart"
    assert torch.equal(prompt.embeds_TD, pair.target.encode(video, QUESTION).embeds_TD)


def test_it_is_there_only_if_it_was_wanted(prompt: Prompt) -> None:
    assert prompt.vision_attention_V is None


def received_in_siglip(stock: Any, inputs: Any) -> Tensor:
    """From the weights that the tower gives out: over heads and queries, then the 2 x 2 patches of each token."""
    tower = stock.model.vision_tower
    tower.set_attn_implementation("eager")
    with torch.inference_mode():
        weights = tower(inputs["pixel_values_videos"][0].double(), output_attentions=True).attentions[-1]
    frames, side = weights.shape[0], int(weights.shape[-1] ** 0.5)
    patches = weights.mean((1, 2)).view(frames, side, side)
    assert side % 2 == 0
    cells: Tensor = patches.view(frames, side // 2, 2, side // 2, 2).mean((2, 4))
    return cells.flatten()


def received_in_qwen(stock: Any, inputs: Any) -> Tensor:
    """From the weights of the library's eager attention, which the last block calls for each frame; its patches stand
    in the order of the windows, four of a token side by side."""
    tower, grid = stock.model.visual, inputs["video_grid_thw"]
    eager = sys.modules[type(tower).__module__].eager_attention_forward
    received = list[Tensor]()

    def recorded(module: nn.Module, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
        mixed, weights = eager(module, *args, **options)
        if module is tower.blocks[-1].attn:
            received.append(weights[0].mean((0, 1)))
        return mixed, weights

    AttentionInterface.register("recorded_eager", recorded)
    tower.set_attn_implementation("recorded_eager")
    with torch.inference_mode():
        tower(inputs["pixel_values_videos"].double(), grid_thw=grid)
    assert len(received) == int(grid[0, 0])
    tokens = torch.cat(received).view(-1, tower.spatial_merge_unit).mean(1)
    order, _ = get_vision_window_index(grid, tower.spatial_merge_size, tower.window_size, tower.patch_size)
    in_raster = torch.empty_like(tokens)
    in_raster[order] = tokens
    return in_raster
