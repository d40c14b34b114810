"""What does evidence cost? ``python -m experiments.evidence_cost.measure``

Prefills a random-weight Qwen2.5-VL language model with thousands of visual tokens, with and without each kind of
evidence, in turn; and records the largest tensor any operation produced, to show that no T x T matrix is formed.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from experiments.common import bundled, read_prompt, setting, table
from vsd.models import VideoLM
from vsd.models.qwen2_5_vl import Qwen25VL
from vsd.types import Grid, Prompt

WANTS = {
    "none": frozenset[str](),
    "features": frozenset({"features"}),
    "attention (specvlm)": frozenset({"attention"}),
    "video_attention (hippo)": frozenset({"features", "video_attention"}),
    "hidden (uv_prune)": frozenset({"hidden:0", "hidden:0.5"}),
}


class Largest(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any operation returned."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.elements = max(self.elements, leaf.untyped_storage().nbytes() // leaf.element_size())
        return result


def build(layers: int, width: int, weights: str | None) -> VideoLM:
    """A random-weight model of a real one's proportions (16 heads on 2 key/value heads) with the bundled processor."""
    like = bundled("qwen2_5_vl", "near", weights).load()
    config: dict[str, Any] = like.model.config.to_dict()
    config["text_config"] |= {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": width // 64,
        "num_key_value_heads": 2,
        "layer_types": ["full_attention"] * layers,
        "max_position_embeddings": 65536,
    }
    config["text_config"]["rope_parameters"] |= {"mrope_section": [8, 12, 12]}
    config["vision_config"]["out_hidden_size"] = width
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**config))
    return Qwen25VL(model, like.processor, name="random")


def prompt_of(model: VideoLM, visual: int, suffix: int) -> Prompt:
    side = 16
    grid = Grid(visual // side**2, side, side)
    length = 5 + grid.tokens + suffix
    width = model.model.get_input_embeddings().weight.shape[1]
    return Prompt(
        ids_T=torch.zeros(length, dtype=torch.long),
        embeds_TD=torch.randn(length, width),
        positions_PT=torch.arange(length).expand(3, -1).clone(),
        visual_V=torch.arange(5, 5 + grid.tokens),
        grid=grid,
        suffix=5 + grid.tokens,
        next_position=length,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visual", type=int, default=8192)
    parser.add_argument("--suffix", type=int, default=40)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--weights", metavar="FOLDER", help="holds FAMILY/ROLE; default: the bundled models")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = build(args.layers, args.width, args.weights)
    prompt = prompt_of(model, args.visual, args.suffix)
    seconds: dict[str, list[float]] = {name: [] for name in WANTS}
    largest = {}
    for name, want in WANTS.items():
        with Largest() as seen:
            read_prompt(model, prompt, want)
        largest[name] = seen.elements
    for _ in range(args.repeats):
        for name, want in WANTS.items():
            start = time.perf_counter()
            read_prompt(model, prompt, want)
            seconds[name].append(time.perf_counter() - start)
    square = prompt.length**2
    rows = [
        [
            name,
            median(times),
            # Pair by pair, so that a drift of the machine's speed cancels.
            f"{100 * (median(a / b for a, b in zip(times, seconds['none'], strict=True)) - 1):+.1f}%",
            largest[name] / square,
        ]
        for name, times in seconds.items()
    ]
    print(setting(), f"One thread; {prompt.grid.tokens} visual and {args.suffix} suffix tokens, ", end="")
    print(f"{args.layers} layers of width {args.width}, medians of {args.repeats} interleaved runs.\n")
    print(table(["evidence", "prefill s", "cost", "largest tensor / T²"], rows))


if __name__ == "__main__":
    main()
