"""Does the visual relevance find the words that depend on the video? ``python -m experiments.lvspec.relevance``

On the 64 held-out clips, the target reads its own description once more and every layer's relevance of every word is
held against what the word is: a fact of the video (a colour, a number, a direction, ...) or wording. The area under
the ROC curve says how well a layer tells them apart (0.5: not at all), for the state that predicts a word and for the
state that has just read it. Beside it: how many of the words that the draft gets wrong are facts at all, because only
among the others can a rule relax without loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from experiments.common import arguments, clips, pairs, setting, table
from vsd.engine import Engine
from vsd.models import VideoLM
from vsd.models.tree import chain
from vsd.parallelism import Autoregressive
from vsd.pruners.uniform import Uniform
from vsd.relevance import Relevance
from vsd.types import Video
from vsd.zoo import texts
from vsd.zoo.shapes import COLOURS, PLACES, SHAPES, SIZES, TEXTURES, TONES

PHRASES = (*COLOURS, *PLACES, *SHAPES, *SIZES, *TEXTURES, *TONES, *texts.NUMBERS)
FACTS = {word for phrase in PHRASES for word in phrase.split()} | {"stays", "moves", "left", "right", "up", "down"}
PLACES_OF_STATES = ("before", "at")
RESAMPLES = 200


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
    return Words(
        fact=np.array(facts([piece.strip(" .,") for piece in engine.pieces(trace)])[1:]),
        missed=(guesses != ids[1:]).numpy(),
        relevance=relevance,
    )


def facts(words: list[str]) -> list[bool]:
    """Which words say something of the video: where another one would make another fact. "still" is none, since it
    follows from "stays"; "to" is one behind "moves", which could go on with "up" or "down"."""
    return [
        word in FACTS or (word == "to" and before == "moves") for before, word in zip(["", *words], words, strict=False)
    ]


def area(found: list[Words], layer: int, state: str, *, missed: bool) -> str:
    """The area under the ROC curve over all words, or those that the draft missed, with its bootstrap standard error
    over the clips; a dash where there is only one kind of words."""
    parts = [
        (words.fact[chosen], words.relevance[layer, state][chosen])
        for words in found
        for chosen in [words.missed if missed else np.ones_like(words.missed)]
    ]
    rng = np.random.default_rng(0)
    areas = [_area(parts)] + [
        _area([parts[clip] for clip in rng.integers(len(parts), size=len(parts))]) for _ in range(RESAMPLES)
    ]
    known = [each for each in areas if each is not None]
    return "–" if areas[0] is None else f"{areas[0]:.3f} ± {np.std(known):.3f}"


def _area(parts: list[tuple[np.ndarray, np.ndarray]]) -> float | None:
    fact, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return float(roc_auc_score(fact, values)) if 0 < fact.sum() < len(fact) else None


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--top-n", type=int, default=10)
    args = parser.parse_args()
    print(setting(), f"{args.frames} frames, ratio {args.ratio:g}, N {args.top_n}.\n")
    for family, target, checkpoint in pairs(args):
        draft = checkpoint.load()
        found = [
            read_again(target, draft, video, sample.question, ratio=args.ratio, top_n=args.top_n)
            for sample, video in clips(args.frames, args.limit)
        ]
        words, facts_said = (
            sum(sizes) for sizes in zip(*((len(w.fact), int(w.fact.sum())) for w in found), strict=True)
        )
        missed = sum(int(each.missed.sum()) for each in found)
        missed_facts = sum(int((each.missed & each.fact).sum()) for each in found)
        print(f"### {family}\n")
        print(f"{facts_said} of {words} words are facts. The draft misses {missed}, {missed_facts} of them facts.\n")
        head = ["layer", "facts, state before", "state at", "facts among missed, state before", "state at"]
        rows = [
            [layer, *(area(found, layer, state, missed=only) for only in (False, True) for state in PLACES_OF_STATES)]
            for layer in range(target.depth + 1)
        ]
        print(table(head, rows), "\n", flush=True)


if __name__ == "__main__":
    main()
