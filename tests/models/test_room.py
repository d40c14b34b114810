"""What does not fit is refused before it is loaded, with the one thing that helps; sizes are those of real models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen2_5_VLConfig

from tests.conftest import Pair
from vsd.models.config import read_config
from vsd.models.hardware import free_memory
from vsd.models.room import GIB, Need, check_room, needs_of

CPU, GPU0, GPU1 = (frozenset((name,)) for name in ("cpu", "cuda:0", "cuda:1"))
BF16 = torch.bfloat16


def need(role: str, gib: float, *, cache: float = 0.0, on: frozenset[str] = GPU0, itemsize: int = 2) -> Need:
    return Need(role=role, devices=on, weights=int(gib * GIB), cache=int(cache * GIB), itemsize=itemsize)


def gib(**free: float) -> dict[str, int]:
    return {name.replace("_", ":"): int(size * GIB) for name, size in free.items()}


def refusal(needs: list[Need], free: dict[str, int]) -> str:
    with pytest.raises(ValueError) as caught:
        check_room(needs, free)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_fits_passes() -> None:
    check_room([need("target", 60, cache=7), need("draft", 8)], gib(cuda_0=79))
    check_room([need("target", 60), need("draft", 30, on=GPU1)], gib(cuda_0=79, cuda_1=79))
    check_room([need("target", 500, on=frozenset(("mps",)))], {})  # nobody knows how much is free there


def test_the_message_names_what_is_needed_and_free() -> None:
    said = refusal([need("target", 62.3, cache=6.1), need("draft", 15.5, cache=0.2)], gib(cuda_0=75))
    assert said == (
        "target.path: the weights and caches on cuda:0 must fit its free memory, got 84.1 GiB needed (target 62.3 GiB "
        "of weights and 6.1 GiB of cache, draft 15.5 GiB of weights and 0.2 GiB of cache) and 75.0 GiB free; what "
        "helps: a smaller draft"
    )


@pytest.mark.parametrize(
    ("needs", "free", "cure"),
    [
        ([need("target", 30, itemsize=4)], gib(cpu=16, cuda_0=16), "dtype=bfloat16"),
        ([need("target", 60, itemsize=8)], gib(cuda_0=16), "dtype=bfloat16"),
        ([need("target", 67), need("draft", 16)], gib(cuda_0=79, cuda_1=79), "draft.device=cuda:1"),
        ([need("target", 67), need("draft", 16)], gib(cuda_0=79, cuda_1=10), "target.device_map=auto"),
        ([need("target", 137)], gib(cuda_0=79, cuda_1=79), "target.device_map=auto"),
        ([need("target", 67), need("draft", 16)], gib(cuda_0=79), "a smaller draft"),
        ([need("target", 67, cache=20)], gib(cuda_0=79), "fewer frames, or fewer max_pixels"),
        ([need("target", 137)], gib(cuda_0=79), "a smaller model, or more memory"),
        ([need("target", 10, on=CPU), need("draft", 3, on=CPU)], gib(cpu=12), "a smaller draft"),
        ([need("target", 300, on=GPU0 | GPU1)], gib(cuda_0=79, cuda_1=79), "a smaller model, or more memory"),
        (
            [need("target", 137, on=GPU0 | GPU1), need("draft", 80)],
            gib(cuda_0=79, cuda_1=79, cuda_2=90),
            "a smaller model, or more memory",  # the draft alone is too large for its device
        ),
        (
            [need("target", 137, on=GPU0 | GPU1), need("draft", 30)],
            gib(cuda_0=79, cuda_1=79, cuda_2=40),
            "draft.device=cuda:2",
        ),
    ],
)
def test_the_one_thing_that_helps(needs: list[Need], free: dict[str, int], cure: str) -> None:
    assert refusal(needs, free).endswith(f"what helps: {cure}")


def test_tiny_models_take_what_their_weights_take(pair: Pair) -> None:
    config = read_config(pair.target_path, field="target")
    for dtype in (torch.float64, BF16):
        (found,) = needs_of(config, pair.target_path, role="target", dtype=dtype, devices=["cpu"], rows=100)
        values = sum(weight.numel() for weight in pair.target.model.parameters())
        assert found.weights == values * dtype.itemsize
        state, *_ = pair.target.prefill(_prompt(pair), capacity=100)
        layers: list[Any] = state.cache.layers
        held = sum(buffer.numel() for layer in layers for buffer in (layer.keys, layer.values))
        assert found.cache == held * dtype.itemsize


def test_a_map_of_modules_is_counted_by_device(pair: Pair) -> None:
    config = read_config(pair.target_path, field="target")
    options: dict[str, Any] = {"role": "target", "dtype": BF16, "devices": [], "rows": 10}
    whole = sum(weight.numel() * 2 for weight in pair.target.model.parameters())
    head = pair.target.model.lm_head.weight.numel() * 2
    split = needs_of(config, pair.target_path, device_map={"model": "cuda:0", "lm_head": "cuda:1"}, **options)
    assert {(*need.devices, need.weights) for need in split} == {("cuda:0", whole - head), ("cuda:1", head)}
    nested = needs_of(config, pair.target_path, device_map={"": "cuda:0", "lm_head": "cuda:1"}, **options)
    assert {need.weights for need in nested} == {whole - head, head}


def test_shares_and_what_is_loaded_already(pair: Pair) -> None:
    config = read_config(pair.target_path, field="target")
    options: dict[str, Any] = {"role": "draft", "dtype": BF16, "devices": ["cpu"], "rows": 10}
    (whole,) = needs_of(config, pair.target_path, **options)
    (half,) = needs_of(config, pair.target_path, ranks=2, **options)
    (own,) = needs_of(config, pair.target_path, shares_weights=True, **options)
    assert (half.weights, half.cache) == (whole.weights // 2, whole.cache // 2)
    assert (own.weights, own.cache) == (0, whole.cache)


def test_published_sizes_are_counted(tmp_path: Path) -> None:
    """Qwen2.5-VL 7B by its published shape: 16.6 GB of weights in bfloat16, 57 KB of keys and values a token."""
    text = {"hidden_size": 3584, "num_hidden_layers": 28, "intermediate_size": 18944, "vocab_size": 152064}
    heads = {"num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False}
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584}
    config = Qwen2_5_VLConfig(text_config={**text, **heads}, vision_config=vision, tie_word_embeddings=False)
    (found,) = needs_of(config, tmp_path, role="target", dtype=BF16, devices=["cpu"], rows=256)
    assert found.weights == pytest.approx(16.6e9, rel=0.005)
    assert found.cache == 256 * 57_344  # caches come in multiples of 256 rows


@pytest.mark.parametrize("own", ["float32", "bfloat16", None])
def test_weights_are_counted_in_the_run_s_dtype(own: str | None, pair: Pair) -> None:
    """Whatever dtype the checkpoint's own config names, for the whole or for its text model."""
    config = read_config(pair.target_path, field="target")
    config.dtype = config.text_config.dtype = own
    sizes = [
        needs_of(config, pair.target_path, role="target", dtype=dtype, devices=["cpu"], rows=1)[0].weights
        for dtype in (BF16, torch.float32, torch.float64)
    ]
    count = sum(weight.numel() for weight in pair.target.model.parameters())
    assert sizes == [2 * count, 4 * count, 8 * count]


@pytest.mark.parametrize("where", [{"": "cuda:0"}, {"model": "cuda:0", "lm_head": "cuda:1"}])
def test_quantised_weights_are_what_their_files_are(where: dict[str, str], pair: Pair, tmp_path: Path) -> None:
    config = read_config(pair.target_path, field="target")
    config.quantization_config = {"quant_method": "awq"}
    options: dict[str, Any] = {"role": "target", "dtype": torch.float32, "devices": ["cpu"], "rows": 1}
    (found,) = needs_of(config, pair.target_path, device_map=where, **options)
    assert found.weights == (pair.target_path / "model.safetensors").stat().st_size
    assert found.devices == set(where.values())
    (before,) = needs_of(config, tmp_path, device_map=where, **options)  # not downloaded yet
    assert before.weights == 0
    assert "dtype" not in refusal([found], dict.fromkeys(where.values(), 0))


def test_free_memory_of_a_cpu() -> None:
    (free,) = free_memory(["cpu"]).values()
    assert 0 < free < 2**50


def _prompt(pair: Pair) -> Any:
    import numpy as np

    from vsd.types import Video

    return pair.target.encode(Video(frames=np.zeros((2, 16, 16, 3), np.uint8), timestamps=np.arange(2.0)), "?")
