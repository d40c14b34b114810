"""Does the visual relevance find the words that depend on the video? ``python -m experiments.lvspec.relevance``

On the 64 held-out clips, the target reads its own description once more and every layer's relevance of every word is
held against what the word is: a fact of the video (a colour, a number, a direction, ...) or wording. The area under
the ROC curve says how well a layer tells them apart (0.5: not at all), for the state that predicts a word and for the
state that has just read it. Beside it: how many of the words that the draft gets wrong are facts at all, because only
among the others can a rule relax without loss.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from experiments.common import FAMILIES, clips, setting, table
from vsd.engine import Engine
from vsd.models import VideoLM, load
from vsd.models.tree import chain
from vsd.parallelism import Autoregressive
from vsd.pruners.uniform import Uniform
from vsd.relevance import Relevance
from vsd.types import Video
from vsd.zoo import texts
from vsd.zoo.shapes import COLOURS, PLACES, SHAPES, SIZES, TEXTURES, TONES

PHRASES = (*COLOURS, *PLACES, *SHAPES, *SIZES, *TEXTURES, *TONES, *texts.NUMBERS)
FACTS = {word for phrase in PHRASES for word in phrase.split()} | {"still", "left", "right", "up", "down"}
PLACES_OF_STATES = ("before", "at")


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words of one description: is each a fact, did the draft miss it, and its relevance by (layer, state)."""

    fact: np.ndarray
    missed: np.ndarray
    relevance: dict[tuple[int, str], np.ndarray]


@torch.inference_mode()
def read_again(target: VideoLM, draft: VideoLM, video: Video, question: str, *, ratio: float, top_n: int) -> Words:
    """The target's own description, read once more by both models; the draft on its pruned prompt."""
    engine = Engine(target=target, parallelism=Autoregressive())
    trace = engine.run(video, question)
    ids = torch.tensor(trace.tokens)
    layers = [str(layer) for layer in range(target.depth + 1)]
    prompt = target.encode(video, question)
    want = {f"hidden:{layer}" for layer in layers}
    relevance: dict[tuple[int, str], np.ndarray] = {}
    _, _, evidence = target.prefill(prompt, want=want, capacity=prompt.length)
    for layer in layers:
        state, _, _ = target.prefill(prompt, capacity=prompt.length + len(ids))
        states_MD = target.forward(ids, chain(len(ids)), state, layer=layer).hidden_MD
        assert states_MD is not None
        found = Relevance(layer=layer, top_n=top_n).meter(evidence)(states_MD).numpy()
        relevance[int(layer), "at"], relevance[int(layer), "before"] = found[1:], found[:-1]
    pruned = draft.encode(video, question).keep(Uniform(ratio=ratio).keep(evidence))
    state, _, _ = draft.prefill(pruned, capacity=pruned.length + len(ids))
    guesses = draft.forward(ids, chain(len(ids)), state).logits_MW.argmax(-1)[:-1]
    bare = [piece.strip(" .,") for piece in engine.pieces(trace)]
    return Words(
        fact=np.array([word in FACTS for word in bare[1:]]),
        missed=(guesses != ids[1:]).numpy(),
        relevance=relevance,
    )


def pooled(found: list[Words]) -> Iterator[tuple[int, str, float, float]]:
    """(layer, state, area over all words, area over the words that the draft missed)."""
    fact, missed = (np.concatenate([getattr(words, name) for words in found]) for name in ("fact", "missed"))
    for layer, state in sorted(found[0].relevance):
        values = np.concatenate([words.relevance[layer, state] for words in found])
        both = len(set(fact[missed])) > 1
        among = float(roc_auc_score(fact[missed], values[missed])) if both else float("nan")
        yield layer, state, float(roc_auc_score(fact, values)), among


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--ratio", type=float, default=0.9)
    parser.add_argument("--top-n", type=int, default=10)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--drafts", metavar="FOLDER", help="holds FAMILY for each pair; default: the bundled ones")
    args = parser.parse_args()
    print(setting(), f"{args.frames} frames, ratio {args.ratio:g}, N {args.top_n}.\n")
    for family in FAMILIES:
        target = load(f"zoo:{family}/target")
        draft = load(f"{args.drafts}/{family}" if args.drafts else f"zoo:{family}/draft")
        found = [
            read_again(target, draft, video, sample.question, ratio=args.ratio, top_n=args.top_n)
            for sample, video in clips(args.frames, args.limit)
        ]
        words = sum(len(each.fact) for each in found)
        facts = sum(int(each.fact.sum()) for each in found)
        missed = sum(int(each.missed.sum()) for each in found)
        missed_facts = sum(int((each.missed & each.fact).sum()) for each in found)
        print(f"### {family}\n")
        print(f"{facts} of {words} words are facts. The draft misses {missed}, {missed_facts} of them facts.\n")
        rows = {(layer, state): [area, among] for layer, state, area, among in pooled(found)}
        layers = sorted({layer for layer, _ in rows})
        head = ["layer", "facts, state before", "state at", "facts among missed, state before", "state at"]
        cells = [
            [layer, *(rows[layer, state][column] for column in (0, 1) for state in PLACES_OF_STATES)]
            for layer in layers
        ]
        print(table(head, cells), "\n")


if __name__ == "__main__":
    main()
