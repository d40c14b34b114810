"""What do evidence and pruning cost? ``OMP_NUM_THREADS=1 python -m experiments.evidence_cost.measure``

Prefills a random-weight Qwen2.5-VL language model with thousands of visual tokens, with and without what each pruner
needs, in turn, and prunes; and records the largest tensor any operation produced, to show that no T x T matrix is
formed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from experiments.common import read_prompt, setting, table
from vsd.commands.doctor.shapes import random_model
from vsd.evidence.collector import Watch
from vsd.models import VideoLM
from vsd.models.qwen2_5_vl import Qwen25VL
from vsd.pruners.attention import Attention
from vsd.pruners.base import Pruner
from vsd.pruners.hippo import Hippo
from vsd.pruners.specvlm import SpecVLM
from vsd.pruners.uv_prune import UVPrune
from vsd.step_times.shapes import SHAPES, Shape
from vsd.types import Grid, Prompt

RATIO = 0.9
PRUNERS: dict[str, Pruner | None] = {
    "none": None,
    "attention": Attention(ratio=RATIO),
    "specvlm": SpecVLM(ratio=RATIO),
    "hippo": Hippo(ratio=RATIO),
    "uv_prune": UVPrune(ratio=RATIO),
}
"""The pruners that look at the target's prefill, and none."""


class Largest(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any operation returned."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.elements = max(self.elements, leaf.untyped_storage().nbytes() // leaf.element_size())
        return result


def build(layers: int, width: int) -> VideoLM:
    """A random-weight language model of a real one's proportions: heads of 64 numbers, two of them for keys and
    values."""
    tower = SHAPES["qwen2_5_vl_3b"].tower  # not built: prompts are made of random features
    heads = max(2, width // 64)
    shape = Shape(layers=layers, width=width, heads=heads, kv_heads=2, inner=4 * width, vocab=1000, tower=tower)
    torch.manual_seed(0)
    return random_model(Qwen25VL, shape, torch.device("cpu"), name="random", dtype=torch.float32)


def prompt_of(model: VideoLM, visual: int, suffix: int) -> Prompt:
    side = 16
    grid = Grid(visual // side**2, side, side)
    length = 5 + grid.tokens + suffix
    return Prompt(
        ids_T=torch.zeros(length, dtype=torch.long),
        embeds_TD=torch.randn(length, model.embed.weight.shape[1]).to(model.embed.weight),
        positions_PT=torch.arange(length).expand(3, -1).clone(),
        visual_V=torch.arange(5, 5 + grid.tokens),
        grid=grid,
        suffix=5 + grid.tokens,
        next_position=length,
    )


class Timed(NamedTuple):
    """Seconds of reading a prompt, of that what evidence takes, and of pruning."""

    read: float
    evidence: float
    prune: float


@contextmanager
def watched() -> Iterator[list[float]]:
    """Within, the seconds that looking at states and attention takes are written down."""
    seconds, plain = list[float](), (Watch.see_states, Watch.see_attention)

    def timed(look: Callable[..., None]) -> Callable[..., None]:
        def looks(*args: Any) -> None:
            start = time.perf_counter()
            look(*args)
            seconds.append(time.perf_counter() - start)

        return looks

    Watch.see_states, Watch.see_attention = (timed(each) for each in plain)  # type: ignore[method-assign]
    try:
        yield seconds
    finally:
        Watch.see_states, Watch.see_attention = plain  # type: ignore[method-assign]


def read_and_prune(model: VideoLM, prompt: Prompt, pruner: Pruner | None) -> Timed:
    with watched() as seconds:
        start = time.perf_counter()
        _, evidence = read_prompt(model, prompt, pruner.needs if pruner else frozenset())
        read = time.perf_counter()
    if pruner is not None:
        pruner.keep(evidence)
    return Timed(read - start, sum(seconds), time.perf_counter() - read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visual", type=int, default=12_288)
    parser.add_argument("--suffix", type=int, default=40)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = build(args.layers, args.width)
    prompt = prompt_of(model, args.visual, args.suffix)
    largest = {}
    for name, pruner in PRUNERS.items():
        with Largest() as seen:
            read_and_prune(model, prompt, pruner)
        largest[name] = seen.elements / prompt.length**2
    found = [
        {name: read_and_prune(model, prompt, pruner) for name, pruner in PRUNERS.items()} for _ in range(args.repeats)
    ]
    print(setting(), f"One thread; {prompt.grid.tokens} visual and {args.suffix} suffix tokens, ", end="")
    print(
        f"{args.layers} layers of width {args.width}, {RATIO:g} removed, medians of {args.repeats} interleaved runs.\n"
    )
    rows = [row(name, found, largest[name]) for name in PRUNERS]
    print(table(["pruner", "prefill s", "slower by", "of it evidence", "pruning", "largest tensor / T²"], rows))


def row(name: str, found: Sequence[Mapping[str, Timed]], largest: float) -> list[object]:
    """Costs in percent of the prefill without evidence, run by run, so that a drift of the machine's speed cancels."""
    read = [each["none"].read for each in found]
    shares = [
        [each[name].read / whole - 1 for each, whole in zip(found, read, strict=True)],
        [each[name].evidence / whole for each, whole in zip(found, read, strict=True)],
        [each[name].prune / whole for each, whole in zip(found, read, strict=True)],
    ]
    return [name, median(each[name].read for each in found), *(f"{median(one):.1%}" for one in shares), largest]


if __name__ == "__main__":
    main()
