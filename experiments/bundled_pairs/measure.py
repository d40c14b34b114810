"""How good are the bundled pairs? ``python -m experiments.bundled_pairs.measure``

For both pairs, on the 64 held-out clips: the share of facts right in the target's greedy descriptions, by kind; the
same with the frames replaced by noise (what can be guessed without seeing); the same of the draft's own descriptions;
and how often the draft, reading the full prompt and the target's own answer, has the target's next token as its most
likely one.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch

from experiments.common import FAMILIES, bundled, clips, setting, table
from vsd.engine import Engine
from vsd.models import VideoLM
from vsd.parallelism import Autoregressive
from vsd.types import Video
from vsd.zoo import score


def noise(video: Video, seed: int) -> Video:
    pixels = np.random.default_rng(seed).integers(0, 256, video.frames.shape, dtype=np.uint8)
    return replace(video, frames=pixels)


@torch.inference_mode()
def agreement(draft: VideoLM, video: Video, question: str, tokens: tuple[int, ...]) -> tuple[int, int]:
    """How many of the target's tokens are the draft's argmax given the target's tokens before them, and of how many."""
    prompt = draft.encode(video, question)
    state, logits_W, _ = draft.prefill(prompt, capacity=prompt.length + len(tokens) + 1)
    output = draft.forward(torch.tensor(tokens[:-1]), list(range(-1, len(tokens) - 2)), state)
    guesses = [int(logits_W.argmax()), *output.logits_MW.argmax(-1).tolist()]
    return sum(guess == token for guess, token in zip(guesses, tokens, strict=True)), len(tokens)


def measure(family: str, weights: str | None, frames: int, limit: int | None) -> dict[str, dict[str, float]]:
    paths = {role: weights and f"{weights}/{family}/{role}" for role in ("target", "draft")}
    target, draft = (bundled(family, role, path).load() for role, path in paths.items())
    engine, alone = (Engine(target=model, parallelism=Autoregressive()) for model in (target, draft))
    seen, blind, drafted, agreed, tokens = [], [], [], 0, 0
    for number, (sample, video) in enumerate(clips(frames, limit)):
        trace = engine.run(video, sample.question)
        seen.append(score.score(engine.text(trace), sample.facts))
        unseen = engine.run(noise(video, number), sample.question)
        blind.append(score.score(engine.text(unseen), sample.facts))
        drafted.append(score.score(alone.text(alone.run(video, sample.question)), sample.facts))
        right, asked = agreement(draft, video, sample.question, trace.tokens)
        agreed, tokens = agreed + right, tokens + asked
    facts = {"target": seen, "target, noise": blind, "draft": drafted}
    return {name: score.total(found) for name, found in facts.items()} | {"agreement": {"all": agreed / tokens}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", metavar="FOLDER", help="holds FAMILY/ROLE; default: the bundled models")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--limit", type=int)
    args = parser.parse_args()
    found = {family: measure(family, args.weights, args.frames, args.limit) for family in FAMILIES}
    rows = [
        [family, what, *(float(shares[what][kind]) for kind in (*score.KINDS, "all"))]
        for family, shares in found.items()
        for what in ("target", "target, noise", "draft")
    ]
    print(setting(), f"{args.frames} frames.\n")
    print(table(["pair", "who describes", *score.KINDS, "all"], rows))
    print()
    print(table(["pair", "draft agrees with target"], [[f, shares["agreement"]["all"]] for f, shares in found.items()]))


if __name__ == "__main__":
    main()
