"""Is the baseline honest? ``python -m experiments.baseline.against_generate``

Three comparisons with transformers' own greedy `generate`, on the same frames and the same chat turn:

1. speed, in float32: the held-out clips, in turn, each side timed from frames to the last token, processor included;
2. tokens, in float64, of videos of 2 seconds to 10 minutes: the clips with stretched timestamps, and frames of a
   generated file that is 10 minutes long; for each family as its models were trained and as the library has it;
3. tokens, in float64, of random tiny models on random videos (1 to 17 frames, 0.1 to 60 a second, with gaps), decoded
   alone and speculatively (the target drafts for itself on a pruned prompt).

Where the positions are not the library's own, `generate` is given ours.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from experiments.common import FAMILIES, Clips, arguments, bundled, setting, table
from experiments.generate import Generate
from tests.zoo_in_code import save_llava, save_qwen
from vsd.engine import Engine
from vsd.models import load
from vsd.models.base import ROPES, Rope
from vsd.parallelism import Autoregressive
from vsd.pruners.random import Random
from vsd.types import Sample, Video
from vsd.video import read
from vsd.zoo.small_events.drawing import render
from vsd.zoo.small_events.world import SHOT, scene
from vsd.zoo.small_events.write import write_video

LENGTHS_S = (2, 15, 60, 600)
LONG_SHOTS = 150  # of 16 frames, 4 a second: 10 minutes


def speed(family: str, args: argparse.Namespace) -> list[object]:
    """A row of the first comparison."""
    target = bundled(family, args.target, args.weights).load()
    engine = Engine(target=target, parallelism=Autoregressive(), max_new_tokens=args.max_new_tokens)
    stock = Generate(target, args.max_new_tokens)
    seconds, tokens, mismatched, clips = [0.0, 0.0], [0, 0], 0, Clips.of(args)
    for number, (sample, video) in enumerate(clips):
        if not number:  # warm both
            stock.run(video, sample.question)
            engine.run(video, sample.question)
        found: list[tuple[int, ...]] = [(), ()]
        for side in (0, 1) if number % 2 else (1, 0):  # in turn, so that neither always runs on warmer hardware
            if side:
                generated = stock.timed(video, sample.question)
                found[side], spent = generated.tokens, generated.total_s
            else:
                trace = engine.run(video, sample.question)
                found[side], spent = trace.tokens, trace.seconds["total"]
            seconds[side] += spent
            tokens[side] += len(found[side])
        mismatched += found[0] != found[1]
    ours, theirs = (count / spent for count, spent in zip(tokens, seconds, strict=True))
    return [family, number + 1, mismatched, ours, theirs, ours / theirs]


def lengths(
    family: str, rope: Rope, weights: str | None, samples: list[tuple[Sample, Video]], long: Video
) -> Iterator[list[object]]:
    """The rows of the second comparison."""
    target = bundled(family, "target", weights, rope=rope, dtype="float64").load()
    engine, stock = Engine(target=target, parallelism=Autoregressive()), Generate(target, 128)
    for length_s in LENGTHS_S:
        cases = [(sample.question, stretched(video, length_s)) for sample, video in samples]
        cases += [(samples[0][0].question, long)] if length_s == LENGTHS_S[-1] else []
        mismatched = sum(engine.run(video, asked).tokens != stock.run(video, asked) for asked, video in cases)
        yield [family, rope, f"{length_s} s", len(cases), mismatched]


def stretched(video: Video, length_s: float) -> Video:
    """The same frames, shown over `length_s` seconds."""
    return replace(video, timestamps=np.linspace(0, length_s, len(video.frames), endpoint=False))


def long_video(folder: Path, frames: int) -> Video:
    """Frames of a file that is ten minutes long."""
    file, long = folder / "long.mp4", scene(0, LONG_SHOTS)
    write_video(file, render(long, range(LONG_SHOTS * SHOT)))
    return read(file, frames)


def random_models(family: str, rope: Rope, folder: Path, count: int) -> list[object]:
    """A row of the third comparison."""
    save = {"qwen2_5_vl": save_qwen, "llava_onevision": save_llava}[family]
    mismatched = 0
    for seed in range(count):
        target = load(str(save(folder / f"{family}-{rope}-{seed}", seed=seed)), dtype="float64", rope=rope)
        question, video = "Where is it?", random_video(np.random.default_rng(seed))
        pruner = Random(ratio=0.5)
        alone = Engine(target=target, parallelism=Autoregressive(), max_new_tokens=24)
        speculative = Engine(target=target, draft=target, pruner=pruner, max_new_tokens=24)
        expected = Generate(target, 24).run(video, question)
        mismatched += any(engine.run(video, question).tokens != expected for engine in (alone, speculative))
    return [family, rope, count, mismatched]


def random_video(rng: np.random.Generator) -> Video:
    """1 to 17 frames of noise, 0.1 to 60 a second, half of them with a gap of up to a minute."""
    count = int(rng.integers(1, 18))
    steps = np.full(count, np.exp(-rng.uniform(np.log(0.1), np.log(60))))
    if rng.random() < 0.5:
        steps[rng.integers(0, count)] += rng.uniform(0, 60)
    return Video(
        frames=rng.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8), timestamps=np.cumsum(steps) - steps[0]
    )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--stretched", type=int, default=16, help="clips of each length in the second (default: 16)")
    parser.add_argument("--models", type=int, default=200, help="random models in the third (default: 200)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    clips = Clips.of(args)
    print(setting(), f"One thread, {clips}\n")
    families = args.family or FAMILIES
    rows = [speed(family, args) for family in families]
    head = ["target", "questions", "mismatched", "vsd tokens/s", "generate tokens/s", "vsd / generate"]
    print(table(head, rows), "\n", flush=True)
    ways = [(family, rope) for family in families for rope in ROPES]
    with tempfile.TemporaryDirectory() as name:
        folder, samples = Path(name), list(islice(clips, args.stretched))
        long = long_video(folder, args.frames)
        rows = [row for way in ways for row in lengths(*way, args.weights, samples, long)]
        print(table(["target", "positions", "length", "videos", "mismatched"], rows), "\n", flush=True)
        rows = [random_models(*way, folder, args.models // len(ways)) for way in ways]
        print(table(["family", "positions", "random models", "mismatched"], rows))


if __name__ == "__main__":
    main()
