"""What does it cost to see a video? ``python -m experiments.encode.measure``

One pass of Qwen2.5-VL's vision tower as the library has it, with its windows in batches, and with its patch embedding
as a product too; then a draft with the target's tower that takes the target's features and one that computes them
again; and the time that the comparison of two towers takes. All weights are random.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from experiments.common import setting, table
from vsd.models import qwen_tower
from vsd.models.base import VideoLM
from vsd.models.families import FAMILIES
from vsd.models.vision_key import TEXT, vision_key
from vsd.types import Video
from vsd.zoo.small_events.drawing import SIDE
from vsd.zoo.training.family import Family
from vsd.zoo.training.llava import Llava
from vsd.zoo.training.models import SIZES, build, processor_of
from vsd.zoo.training.qwen import Qwen

LARGE = {"hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584}  # of the 7B model
PATCH = 14
FRAMES = 64
KINDS = ("the library", "windows in batches", "and patches by a product")


def large(blocks: int) -> Any:
    """A model with that many blocks of the 7B model's tower, of which every eighth attends to whole frames, and next to
    no text model. Its values are what was in memory."""
    text = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = Qwen2_5_VLConfig(
        text_config={**text, "num_key_value_heads": 4, "vocab_size": 64},
        vision_config={**LARGE, "depth": blocks, "fullatt_block_indexes": list(range(7, blocks, 8))},
    )
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(config)
    return model.to_empty(device="cpu")


def towers(tower: Any) -> dict[str, Any]:
    """The tower in each of the KINDS, with the same weights."""
    plain, batched, prepared = (copy.deepcopy(tower).eval() for _ in KINDS)
    batched.set_attn_implementation(qwen_tower.NAME)
    qwen_tower.prepare(prepared)
    return dict(zip(KINDS, (plain, batched, prepared), strict=True))


def timed(calls: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """The seconds of this thread that each call takes, all in turn: others on the same cores do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.thread_time()
            call()
            seconds[name].append(time.thread_time() - start)
    return seconds


def ratio(seconds: Mapping[str, list[float]], over: str, under: str) -> float:
    """Pair by pair, so that a drift of the machine's speed cancels."""
    return median(a / b for a, b in zip(seconds[over], seconds[under], strict=True))


def segments_of(tower: Any, grid_13: torch.Tensor) -> tuple[int, int]:
    """How often attention is called: once a segment, and once a run of them."""
    told = qwen_tower.options(tower, grid_13)["segments"].values()
    return sum(count for each in told for count, _ in each.runs), sum(len(each.runs) for each in told)


def tower_row(name: str, tower: Any, grid: tuple[int, int, int], dtype: torch.dtype, repeats: int) -> list[object]:
    kinds = towers(tower.to(dtype))
    t, h, w = grid
    grid_13 = torch.tensor([grid])
    pixels = torch.randn(t * h * w, 3 * 2 * PATCH**2).to(dtype)
    calls = {
        kind: partial(each, pixels, grid_thw=grid_13, **qwen_tower.options(each, grid_13))
        for kind, each in kinds.items()
    }
    seconds = timed(calls, repeats)
    gains = [ratio(seconds, KINDS[0], kind) for kind in KINDS[1:]]
    before, after = segments_of(kinds[KINDS[2]], grid_13)
    video = f"{2 * t} frames of {w * PATCH} x {h * PATCH}"
    return [name, str(dtype).removeprefix("torch."), video, before, after, median(seconds[KINDS[0]]), *gains]


def pair_of(family: Family) -> tuple[VideoLM, VideoLM]:
    """A target and a draft of the bundled sizes that has the target's tower."""
    target, draft = (build(family, SIZES[role]) for role in ("target", "other"))
    vision = {name: weight for name, weight in target.model.state_dict().items() if not name.startswith(TEXT)}
    draft.model.load_state_dict(vision, strict=False)
    adapter, _ = FAMILIES[family.name]
    processor = processor_of(family)
    return adapter(target, processor, name="target"), adapter(draft, processor, name="draft")


def sharing_row(family: Family, repeats: int) -> list[object]:
    target, draft = pair_of(family)
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    video = Video(frames=frames, timestamps=np.arange(FRAMES) / 4)
    prompt = target.encode(video, "What is seen?")
    assert target.vision_key == draft.vision_key
    calls = {"again": partial(draft.encode, video, "What is seen?"), "shared": partial(draft.adopt, prompt)}
    return [family.name, *(median(each) for each in timed(calls, repeats).values())]


def key_row(name: str, model: Any, processor: Any) -> list[object]:
    held = [weight for key, weight in model.model.state_dict().items() if not key.startswith(TEXT)]
    size = sum(weight.numel() * weight.element_size() for weight in held)
    start = time.thread_time()
    vision_key(model, processor, [])
    return [name, f"{size / 1e6:,.1f} MB", time.thread_time() - start]


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--blocks", type=int, default=8, help="of the 7B model's 32")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(setting(), f"Medians of {args.repeats} runs in turn.\n")
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        small = build(Qwen(), SIZES["target"]).model.visual
        rows.append(tower_row("bundled", small, (FRAMES // 2, SIDE // PATCH, SIDE // PATCH), dtype, args.repeats))
        real = large(args.blocks).model.visual
        for weight in real.parameters():
            weight.normal_(std=0.02)
        name = f"{args.blocks} blocks of the 7B model's"
        rows.append(tower_row(name, real, (2, 16, 22), dtype, max(args.repeats // 2, 1)))
    head = ["tower", "dtype", "video", "attention calls, library", "in batches", "library, CPU s"]
    print(table([*head, *KINDS[1:]], rows), "\n")
    rows = [sharing_row(family, args.repeats) for family in (Qwen(), Llava())]
    print(table(["draft", "sees for itself, CPU s", "takes the features, CPU s"], rows), "\n")
    processor = processor_of(Qwen())
    models = {"bundled": build(Qwen(), SIZES["target"]), "7B model's": large(32).to(torch.bfloat16)}
    print(
        table(["tower", "weights", "hash, CPU s"], [key_row(name, model, processor) for name, model in models.items()])
    )


if __name__ == "__main__":
    main()
