"""How fast is it beside transformers? ``OMP_NUM_THREADS=1 python -m experiments.speed.against_transformers``

generate, and generate with the draft as its assistant, beside the engine: the target alone and chains of gamma, with
passes as they come and compiled ones, the whole prompt for the draft as for the assistant, and HIPPO's part of it. All
answer a question before the next one comes, on one thread, in an order that is turned round from one to the next.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from experiments.common import Clips, arguments, pairs, plus_minus, setting, table
from experiments.generate import Generate, Generated, stock
from vsd.engine import Engine
from vsd.metrics import estimate
from vsd.metrics.registry import Value, ratio
from vsd.models import VideoLM
from vsd.models.checkpoint import Checkpoint
from vsd.models.steps import COMPILES, Compile
from vsd.parallelism import Autoregressive
from vsd.pruners.hippo import Hippo
from vsd.types import Video

GENERATE, ASSISTED = "generate", "generate, assisted by the draft"
COMPARED: tuple[Compile, ...] = ("none", "inductor")

Way = Callable[[Video, str], Generated]


def ways_of(target: VideoLM, draft: Checkpoint, gamma: int, hippo: float, tokens: int) -> dict[str, Way]:
    """All ways to answer, by name."""
    model, assistant = stock(target), stock(draft.load())
    ways: dict[str, Way] = {
        GENERATE: Generate(target, tokens, model).timed,
        ASSISTED: Generate(target, tokens, model, assistant_model=assistant).timed,
    }
    for compile in COMPARED:
        big, small = target.twin().computed_by(compile=compile), draft.load().computed_by(compile=compile)
        ways |= {
            f"alone, {compile}": timed(Engine(target=big, parallelism=Autoregressive(), max_new_tokens=tokens)),
            f"chain, {compile}": timed(Engine(target=big, draft=small, gamma=gamma, max_new_tokens=tokens)),
            f"chain, hippo {hippo:g}, {compile}": timed(
                Engine(target=big, draft=small, pruner=Hippo(ratio=hippo), gamma=gamma, max_new_tokens=tokens)
            ),
        }
    return ways


def timed(engine: Engine) -> Way:
    """The engine as a way to answer, timed as generate is."""

    def run(video: Video, question: str) -> Generated:
        trace = engine.run(video, question)
        return Generated(
            tokens=trace.tokens,
            total_s=trace.seconds["total"],
            decode_s=trace.seconds["decode"],
            decoded=len(trace.tokens) - trace.before_rounds,
        )

    return run


def measured(ways: Mapping[str, Way], clips: Clips) -> tuple[dict[str, dict[str, Counter[str]]], Counter[str]]:
    """Sums of each way by video, and how many generations are not generate's own."""
    sums: dict[str, dict[str, Counter[str]]] = {name: defaultdict(Counter) for name in ways}
    mismatched: Counter[str] = Counter()
    for number, (sample, video) in enumerate(clips):
        order = list(ways) if number % 2 else list(ways)[::-1]
        if not number:
            for name in order:
                ways[name](video, sample.question)  # warms up
        found = {name: ways[name](video, sample.question) for name in order}
        for name, one in found.items():
            sums[name][Path(sample.video).name].update(
                {"done": 1, "total": one.total_s, "decode": one.decode_s, "tokens": one.decoded}
            )
            mismatched[name] += one.tokens != found[GENERATE].tokens
    return sums, mismatched


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--gamma", type=int, default=5)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.set_defaults(limit=32)
    args = parser.parse_args()
    torch.set_num_threads(1)
    clips = Clips.of(args)
    print(setting(), clips, f"Drafts {args.draft}, gamma {args.gamma}; {', '.join(COMPILES[1:])} are fixed shapes.\n")
    head = [
        "way",
        "ms a token behind the first",
        "decode / generate",
        "decode / assisted",
        "whole / generate",
        "other tokens",
    ]
    for family, target, draft in pairs(args):
        start = time.perf_counter()
        sums, mismatched = measured(ways_of(target, draft, args.gamma, args.ratio, args.max_new_tokens), clips)
        rows = []
        for name, mine in sums.items():
            row: list[object] = [name, 1000 * estimate(lambda s: ratio(s["decode"], s["tokens"]), mine).value]
            for other, clock in ((GENERATE, "decode"), (ASSISTED, "decode"), (GENERATE, "total")):
                row.append(plus_minus(estimate(lambda a, b, c=clock: faster(a, b, c), mine, sums[other])))
            rows.append([*row, mismatched[name]])
        print(f"### {family} ({time.perf_counter() - start:.0f} s)\n\n{table(head, rows)}\n", flush=True)


def faster(mine: Mapping[str, Value], theirs: Mapping[str, Value], clock: str) -> Value:
    """How many times as fast, a token."""
    tokens = "tokens" if clock == "decode" else "done"
    return ratio(ratio(theirs[clock], theirs[tokens]), ratio(mine[clock], mine[tokens]))


if __name__ == "__main__":
    main()
