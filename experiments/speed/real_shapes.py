"""How fast are passes and rounds of a real size? ``python -m experiments.speed.real_shapes --json FILE``

Language models of real shapes with random weights, prompts of thousands of made-up visual tokens, and made-up
acceptance (`verifier=synthetic`): step times of target and draft, their share of what the memory could give, decoding
alone and speculatively beside transformers' own passes, measured against what the step times foretell. On a GPU in
bfloat16; with --small, on any machine, models so small that only the script is tried.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from experiments.common import setting, table
from vsd.commands.doctor.shapes import random_model
from vsd.engine import Engine
from vsd.models.base import cache_keyword
from vsd.models.qwen2_5_vl import Qwen25VL
from vsd.models.steps import COMPILES, Compile
from vsd.models.tree import chain
from vsd.parallelism import Autoregressive
from vsd.pruners.random import Random
from vsd.run import memory
from vsd.run.provenance import provenance
from vsd.step_times.shapes import SHAPES, Shape, Tower
from vsd.types import Grid, Prompt, Video
from vsd.verifiers import Verifier
from vsd.verifiers.synthetic import Synthetic

SMALL = {
    "target": Shape(layers=3, width=256, heads=2, kv_heads=1, inner=512, vocab=1000, tower=Tower(1, 1)),
    "draft": Shape(layers=1, width=256, heads=2, kv_heads=1, inner=512, vocab=1000, tower=Tower(1, 1)),
}
TEXT = 40  # tokens around the video
SIDE = 16  # visual tokens of a frame's side
NOTHING = Video(frames=np.zeros((2, 28, 28, 3), dtype=np.uint8), timestamps=np.arange(2.0))


class Shaped(Qwen25VL):
    """A model whose prompts are made up: `visual` tokens and a little text."""

    visual = 0

    def encode(self, video: Video, question: str, **options: Any) -> Prompt:
        grid = Grid(max(1, self.visual // SIDE**2), SIDE, SIDE)
        length, first = grid.tokens + TEXT, TEXT // 4
        rng = torch.Generator().manual_seed(length)
        like = self.embed.weight
        ids_T = torch.randint(0, self.vocab, (length,), generator=rng)
        return Prompt(
            ids_T=ids_T.to(self.device),
            embeds_TD=self.embed(ids_T.to(self.device)).to(like),
            positions_PT=torch.arange(length, device=self.device).expand(3, -1),
            visual_V=torch.arange(first, first + grid.tokens, device=self.device),
            grid=grid,
            suffix=first + grid.tokens,
            next_position=length,
        )


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where it is measured, and how often."""

    device: torch.device
    repeats: int
    gamma: int
    tokens: int
    rate: float
    bandwidth: float

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], Any]) -> float:
        """Of one call, a mean of `repeats` in a row."""
        for _ in range(3):
            work()
        self.wait()
        start = time.perf_counter()
        for _ in range(self.repeats):
            work()
        self.wait()
        return (time.perf_counter() - start) / self.repeats


def bandwidth(device: torch.device, size: int) -> float:
    """Bytes a second that a copy of `size` bytes reads and writes."""
    source, target = (torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2))
    bench = Bench(device=device, repeats=10, gamma=1, tokens=1, rate=0, bandwidth=0)
    return 2 * size / bench.seconds(lambda: target.copy_(source))


def pass_s(model: Shaped, bench: Bench, rows: int) -> float:
    """A pass over so many rows behind a whole prompt, with the logits of each."""
    prompt = model.encode(NOTHING, "")
    state, logits_W = model.prefill(prompt, capacity=prompt.length + bench.tokens + 64)
    ids_M = logits_W.argmax()[None].expand(rows).contiguous()

    def step() -> Tensor:
        logits_MW = model.forward(ids_M, chain(rows), state).logits_MW
        state.commit(())
        return logits_MW.argmax(-1)

    return bench.seconds(step)


@torch.inference_mode()
def stock_s(model: Shaped, bench: Bench) -> float:
    """transformers' own pass over one row, with its dynamic cache and its scaled dot product attention."""
    prompt, text, name = model.encode(NOTHING, ""), model.text, cache_keyword(model.text)
    text.set_attn_implementation("sdpa")
    try:
        cache = DynamicCache()
        text(inputs_embeds=prompt.embeds_TD[None], position_ids=prompt.positions_PT[:, None], **{name: cache})
        places = iter(range(prompt.length, prompt.length + 10_000))

        def step() -> Tensor:
            position = torch.full((3, 1, 1), next(places), device=model.device)
            states = text(input_ids=prompt.ids_T[None, :1], position_ids=position, **{name: cache}).last_hidden_state
            likeliest: Tensor = model.model.lm_head(states[0]).argmax(-1)
            return likeliest

        return bench.seconds(step)
    finally:
        text.set_attn_implementation("vsd")


def roofline_share(shape: Shape, rows: int, seconds: float, bench: Bench, size: int) -> float:
    """What of the memory's bandwidth a pass over one row takes: weights and cache, read once."""
    return size * (shape.body + shape.lm_head + shape.kv * rows) / bench.bandwidth / seconds


def decode(target: Shaped, draft: Shaped | None, bench: Bench, ratio: float = 0.0) -> tuple[float, float]:
    """Seconds of decoding a token, and tokens a round."""
    pruner = Random(ratio=ratio) if ratio else None
    methods: dict[str, Any] = {"share_vision": False, "max_new_tokens": bench.tokens}
    if draft is None:
        engine = Engine(target=target, parallelism=Autoregressive(), **methods)
    else:
        rule: Verifier = Synthetic(rate=bench.rate)
        engine = Engine(target=target, draft=draft, pruner=pruner, verifier=rule, gamma=bench.gamma, **methods)
    engine.run(NOTHING, "")
    trace = engine.run(NOTHING, "")
    return trace.seconds["decode"] / (len(trace.tokens) - 1), (len(trace.tokens) - 1) / max(1, len(trace.rounds))


def audited(target: Shaped, bench: Bench) -> str:
    """Whether a lossless run of the target as its own draft says what the target says alone."""
    engine = Engine(
        target=target, draft=target, pruner=Random(ratio=0.5), gamma=bench.gamma, max_new_tokens=bench.tokens
    )
    ours, alone = engine.run(NOTHING, "").tokens, engine.baseline().run(NOTHING, "").tokens
    if ours == alone:
        return "the same"
    found = engine.audit(NOTHING, "", ours, alone)
    return "a near-tie" if found.explained else f"differs at token {found.place}"


Row = dict[str, Any]
Times = dict[tuple[str, Compile, int, int], float]


@dataclass(frozen=True)
class Pair:
    """Both models, their shapes by role, and what is measured of them."""

    models: dict[str, Shaped]
    shapes: dict[str, Shape]
    bench: Bench
    args: argparse.Namespace

    def kept(self, role: str, visual: int) -> list[int]:
        """The visual tokens of the prompts that this model reads."""
        return [visual] if role == "target" else [int(visual * (1 - ratio)) for ratio in self.args.ratio]

    def of(self, role: str, compile: Compile, visual: int) -> Shaped:
        """This model, with prompts of so many visual tokens."""
        model = self.models[role].computed_by(compile=compile)
        model.visual = visual
        return model

    def passes(self, visual: int) -> tuple[list[Row], Times]:
        """Step times, of one row and of the target's verification."""
        rows, times = list[Row](), Times()
        bench, size = self.bench, self.models["target"].embed.weight.element_size()
        prompts = [(role, count) for role in self.models for count in self.kept(role, visual)]
        for role, count in prompts:
            stock = stock_s(self.of(role, "none", count), bench)
            for compile in self.args.compile:
                model = self.of(role, compile, count)
                length = model.encode(NOTHING, "").length
                for nodes in (1, bench.gamma + 1) if role == "target" else (1,):
                    times[role, compile, count, nodes] = seconds = pass_s(model, bench, nodes)
                    row: Row = {"model": role, "visual": count, "compile": compile, "rows": nodes}
                    row |= {"ms": 1000 * seconds, "transformers_ms": None, "bandwidth_share": None}
                    if nodes == 1:
                        share = roofline_share(self.shapes[role], length, seconds, bench, size)
                        row |= {"transformers_ms": 1000 * stock, "bandwidth_share": share}
                    rows.append(row)
        return rows, times

    def rounds(self, visual: int, compile: Compile, times: Times) -> list[Row]:
        """Decoding, alone and speculatively, beside what the step times foretell."""
        rows, bench = list[Row](), self.bench
        target, draft = (self.of(role, compile, visual) for role in ("target", "draft"))
        alone_s, _ = decode(target, None, bench)
        for ratio, kept in zip(self.args.ratio, self.kept("draft", visual), strict=True):
            token_s, tokens = decode(target, draft, bench, ratio)
            round_s = times["draft", compile, kept, 1] * bench.gamma + times["target", compile, visual, bench.gamma + 1]
            row: Row = {"visual": visual, "compile": compile, "ratio": ratio, "alone_ms": 1000 * alone_s}
            row |= {"ms": 1000 * token_s, "tokens_per_round": tokens, "speedup": alone_s / token_s}
            rows.append(
                row | {"foretold_ms": 1000 * round_s / tokens, "measured_over_foretold": token_s * tokens / round_s}
            )
        return rows


def main() -> None:
    args = arguments()
    device, dtype = torch.device(args.device), getattr(torch, args.dtype)
    dials = {name: getattr(args, name) for name in ("repeats", "gamma", "tokens", "rate")}
    bench = Bench(device=device, bandwidth=bandwidth(device, args.copied), **dials)
    shapes = SMALL if args.small else {"target": SHAPES[args.target], "draft": SHAPES[args.draft]}
    models = {role: random_model(Shaped, shape, device, name=role, dtype=dtype) for role, shape in shapes.items()}
    pair, passes, rounds = Pair(models, shapes, bench, args), list[Row](), list[Row]()
    for visual in args.visual:
        found, times = pair.passes(visual)
        passes += found
        for compile in args.compile:
            rounds += pair.rounds(visual, compile, times)
            target = pair.of("target", compile, visual)
            said = audited(target, bench) if visual == args.visual[0] else "done"
            print(f"{visual} visual tokens, {compile}: {said}", flush=True)
    report(args, bench, passes, rounds)


def report(args: argparse.Namespace, bench: Bench, passes: list[Row], rounds: list[Row]) -> None:
    """Prints the tables, and writes all numbers."""
    print(setting(), f"{args.device}, {args.dtype}, copies at {bench.bandwidth / 1e9:.0f} GB/s.\n")
    for rows in (passes, rounds):
        print(table(list(rows[0]), [["–" if cell is None else cell for cell in row.values()] for row in rows]), "\n")
    if args.json:
        peak = memory.peak_mb([bench.device])
        found = {
            "provenance": provenance(),
            "bench": asdict(bench),
            "passes": passes,
            "rounds": rounds,
            "peak_mb": peak,
        }
        args.json.write_text(json.dumps(found, indent=2, default=str) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    gpu = torch.cuda.is_available()
    parser.add_argument("--target", choices=SHAPES, default="qwen2_5_vl_7b")
    parser.add_argument("--draft", choices=SHAPES, default="qwen2_5_vl_3b")
    parser.add_argument("--small", action="store_true", help="models of no size, to try the script")
    parser.add_argument("--device", default="cuda" if gpu else "cpu")
    parser.add_argument("--dtype", default="bfloat16" if gpu else "float32")
    kinds = ["none", "cudagraph"] if gpu else ["none", "eager"]
    parser.add_argument("--compile", nargs="+", choices=COMPILES, default=kinds)
    parser.add_argument("--visual", type=int, nargs="+", default=[6_144, 12_288, 25_088])
    parser.add_argument("--ratio", type=float, nargs="+", default=[0.0, 0.5, 0.9])
    parser.add_argument("--gamma", type=int, default=5)
    parser.add_argument("--rate", type=float, default=0.87, help="made-up acceptance of a token (default: 0.87)")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--copied", type=int, default=2**30 if gpu else 2**26, help="bytes of the copy")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
