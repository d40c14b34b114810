"""How much memory does a long video take? ``python -m experiments.evidence_cost.long``

Prefills a small random-weight Qwen2.5-VL language model with up to 100,000 visual tokens and prunes them, each in a
fresh process: the peak memory above the loaded model and the prompt, and the largest tensor that any operation
returned, in units of T², of which a T x T matrix of one head would be 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import torch

from experiments.common import read_prompt, setting, table
from experiments.evidence_cost.measure import PRUNERS, RATIO, Largest, build, prompt_of
from vsd.run import memory

VISUAL = (25_600, 51_200, 102_400)
HERE = [torch.device("cpu")]


def one(visual: int, name: str, args: argparse.Namespace) -> dict[str, float]:
    """What a prompt of so many visual tokens takes, read and pruned in this process."""
    torch.set_num_threads(1)
    model, pruner = build(args.layers, args.width), PRUNERS[name]
    prompt = prompt_of(model, visual, args.suffix)
    needs = pruner.needs if pruner else frozenset()
    read_prompt(model, prompt_of(model, 512, args.suffix), needs)  # what is done once
    memory.reset_peak()
    before = memory.peak_mb(HERE)
    with Largest() as seen:
        start = time.perf_counter()
        state, evidence = read_prompt(model, prompt, needs)
        read = time.perf_counter()
        if pruner is not None:
            pruner.keep(evidence)
        pruned = time.perf_counter()
    cache = sum(rows.numel() * rows.element_size() for rows in (*state.buffers.keys, *state.buffers.values)) / 2**20
    return {
        "visual": prompt.grid.tokens,
        "prefill_s": read - start,
        "prune_s": pruned - read,
        "peak_mb": memory.peak_mb(HERE) - before,
        "cache_mb": cache,
        "largest": seen.elements / prompt.length**2,
    }


def apart(visual: int, name: str) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, *sys.argv[1:], "--one", str(visual), name]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def row(name: str, found: dict[str, float]) -> list[Any]:
    visual, peak = found["visual"], found["peak_mb"]
    seconds = [f"{found[key]:.2f}" for key in ("prefill_s", "prune_s")]
    memories = [f"{peak:.0f}", f"{found['cache_mb']:.0f}", f"{peak * 1024 / visual:.2f}"]
    return [int(visual), name, *seconds, *memories, f"{found['largest']:.4f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visual", type=int, nargs="+", default=VISUAL)
    parser.add_argument("--suffix", type=int, default=40)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--one", nargs=2, metavar=("VISUAL", "PRUNER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(int(args.one[0]), args.one[1], args)))
        return
    print(setting(), f"One thread, float32, {args.layers} layers of width {args.width}; {RATIO:g} removed.\n")
    head = ["visual tokens", "pruner", "prefill s", "prune s", "peak MiB", "of it the cache", "KiB a visual token"]
    rows = [row(name, apart(visual, name)) for visual in args.visual for name in PRUNERS]
    print(table([*head, "largest tensor / T²"], rows))


if __name__ == "__main__":
    main()
