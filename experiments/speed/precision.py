"""What do fewer bits buy, and what do they cost? ``OMP_NUM_THREADS=1 python -m experiments.speed.precision``

The bundled pairs in several precisions, alone and speculatively, question by question in turn; and one pass of a
larger model, with random weights, whose time is that of reading its weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from time import perf_counter

import torch

from experiments.common import FAMILIES, Clips, arguments, bundled, setting, table
from experiments.evidence_cost.measure import prompt_of
from vsd.commands.doctor.shapes import random_model
from vsd.data.scoring import scored
from vsd.engine import Engine
from vsd.models import State, VideoLM
from vsd.models.quantisation import quantise
from vsd.models.qwen2_5_vl import Qwen25VL
from vsd.models.steps import Compile
from vsd.models.tree import chain
from vsd.pruners.hippo import Hippo
from vsd.step_times.shapes import SHAPES
from vsd.types import Sample, Trace, Video

PRECISIONS = (("float32", "none"), ("float32", "int8"), ("bfloat16", "none"), ("bfloat16", "int8"))
ROWS = (1, 6)
VISUAL = 512  # tokens of the larger model's prompt
LARGE = "llava_ov_0_5b"


def name_of(dtype: str, quantisation: str) -> str:
    return dtype if quantisation == "none" else f"{quantisation}, {dtype}"


@dataclass
class Side:
    """One precision: its engine, and what it has decoded alone and speculatively."""

    name: str
    engine: Engine
    alone: list[Trace] = field(default_factory=list)
    speculative: list[Trace] = field(default_factory=list)
    right: float = 0
    facts: float = 0
    violations: int = 0

    def answer(self, sample: Sample, video: Video, clips: Clips) -> None:
        alone, ours = (one.run(video, sample.question) for one in (self.engine.baseline(), self.engine))
        self.alone.append(alone)
        self.speculative.append(ours)
        facts = scored(clips.data.score, sample, self.engine.text(alone))["facts"]
        self.right, self.facts = self.right + facts.right, self.facts + facts.asked
        if ours.tokens != alone.tokens:
            audit = self.engine.audit(video, sample.question, ours.tokens, alone.tokens)
            self.violations += not audit.explained


def token_s(traces: Sequence[Trace]) -> float:
    """Seconds of decoding a token, of those behind the first."""
    return sum(trace.seconds["decode"] for trace in traces) / sum(len(trace.tokens) - 1 for trace in traces)


def compared(family: str, compile: Compile, clips: Clips, args: argparse.Namespace) -> Iterator[list[object]]:
    """A row a precision."""
    sides = []
    for dtype, quantisation in PRECISIONS:
        how = {"dtype": dtype, "quantisation": quantisation, "compile": compile}
        target, draft = (bundled(family, role, args.weights, **how).load() for role in (args.target, args.draft))
        engine = Engine(target=target, draft=draft, pruner=Hippo(ratio=args.ratio))
        sides.append(Side(name_of(dtype, quantisation), engine))
    for number, (sample, video) in enumerate(clips):
        if not number:
            for side in sides:
                side.engine.run(video, sample.question)  # warms up
        for side in sides if number % 2 else sides[::-1]:
            side.answer(sample, video, clips)
    first = sides[0]
    for side in sides:
        differ = sum(mine.tokens != theirs.tokens for mine, theirs in zip(side.alone, first.alone, strict=True))
        split = sum(mine.tokens != theirs.tokens for mine, theirs in zip(side.speculative, side.alone, strict=True))
        alone, speculative = token_s(side.alone), token_s(side.speculative)
        row: list[object] = [family, compile, side.name, token_s(first.alone) / alone, alone / speculative]
        yield [*row, f"{side.right:g} of {side.facts:g}", differ, split, side.violations]


def large(repeats: int) -> Iterator[list[object]]:
    """A row a precision: milliseconds of a pass over so many rows, in turn."""
    models = dict[str, VideoLM]()
    for dtype, quantisation in PRECISIONS:
        model = random_model(Qwen25VL, SHAPES[LARGE], torch.device("cpu"), name="0.5B", dtype=getattr(torch, dtype))
        quantise(model.text, "int8" if quantisation == "int8" else "none")
        for compile in ("none", "inductor"):
            how: Compile = "inductor" if compile == "inductor" else "none"
            models[f"{name_of(dtype, quantisation)}; compile={compile}"] = model.computed_by(compile=how)
    states = {name: model.prefill(prompt_of(model, VISUAL, 40))[0] for name, model in models.items()}
    passes = {(name, rows): partial(one_pass, models[name], states[name], rows) for name in models for rows in ROWS}
    for each in passes.values():
        each()
    seconds = [{key: each() for key, each in passes.items()} for _ in range(repeats)]
    for name in models:
        yield [name, *(1000 * median(found[name, rows] for found in seconds) for rows in ROWS)]


def one_pass(model: VideoLM, state: State, rows: int) -> float:
    """Seconds of a pass whose rows are forgotten."""
    start = perf_counter()
    model.forward(torch.zeros(rows, dtype=torch.long), chain(rows), state)
    state.commit(())
    return perf_counter() - start


@torch.inference_mode()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--compile", choices=("none", "inductor"), action="append", help="default: both")
    parser.add_argument("--only", choices=("pairs", "large"), help="default: both")
    parser.add_argument("--repeats", type=int, default=7, help="of the larger model's passes (default: 7)")
    parser.set_defaults(limit=24)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.only != "large":
        print_pairs(args)
    if args.only != "pairs":
        print(setting(), f"A pass of {LARGE}'s shape behind {VISUAL} visual tokens, milliseconds, one thread, ")
        print(f"medians of {args.repeats}.\n")
        print(table(["precision", *(f"{rows} row{'s' * (rows > 1)}" for rows in ROWS)], large(args.repeats)))


def print_pairs(args: argparse.Namespace) -> None:
    clips = Clips.of(args)
    print(setting(), f"One thread. {clips} HIPPO, {args.ratio:g}, drafts {args.draft}.\n")
    head = ["target", "compile", "precision", "alone / float32", "speculative / alone", "facts right"]
    head += ["answers unlike float32's", "speculative unlike alone", "unexplained"]
    kinds: Sequence[Compile] = args.compile or ("none", "inductor")
    rows = [row for family in args.family or FAMILIES for how in kinds for row in compared(family, how, clips, args)]
    print(table(head, rows), "\n", flush=True)


if __name__ == "__main__":
    main()
