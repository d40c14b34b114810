"""Does the visual relevance find the words that depend on the video? ``python -m experiments.lvspec.relevance``

On the held-out clips, the target reads its own answer once more and every layer's relevance of every token is held
against what the token is: a word of a fact (a colour, a place, a number, ...) or wording. The area under the ROC curve
says how well a layer tells them apart (0.5: not at all), for the state that predicts a token and for the state that has
just read it. Beside it the same among the tokens that the draft misses, since only there a rule has a choice: a miss is
a fact where both models' tokens are words of facts, else wording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from experiments.common import Clips, arguments, pairs, setting, table
from vsd.engine import Engine
from vsd.evidence import Collector, Reading
from vsd.evidence.relevance import Relevance
from vsd.models import VideoLM
from vsd.models.tree import chain
from vsd.parallelism import Autoregressive
from vsd.pruners.uniform import Uniform
from vsd.types import Video
from vsd.zoo.training.words import Facts

STATES = ("before", "at")
Labelled = tuple[NDArray[np.bool_], NDArray[np.float64]]
"""Which tokens are facts, and the relevance of all."""
RESAMPLES = 200


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens of an answer: is each a word of a fact, did the draft miss it, is the miss a fact, and
    its relevance by (layer, state)."""

    fact: NDArray[np.bool_]
    missed: NDArray[np.bool_]
    missed_fact: NDArray[np.bool_]
    relevance: dict[tuple[int, str], NDArray[np.float64]]


@torch.inference_mode()
def read_again(target: VideoLM, draft: VideoLM, video: Video, question: str, *, ratio: float, top_n: int) -> Tokens:
    """The target's own answer, read once more by both models; the draft on its pruned prompt."""
    ids = torch.tensor(Engine(target=target, parallelism=Autoregressive()).run(video, question).tokens)
    prompt, relevance = target.encode(video, question), {}
    needs = {layer: Relevance(layer=str(layer), top_n=top_n).need for layer in range(target.depth + 1)}
    reading = Reading(prompt=prompt, depth=target.depth, ranks=target.ranks)
    collector = Collector({need: need for need in needs.values()}, reading, in_passes=needs.values())
    prefill = target.start_prefill(prompt, collector=collector, capacity=prompt.length + len(ids))
    prefill.finish()
    rows = target.forward(ids, chain(len(ids)), prefill.state, collector=collector).evidence
    for layer, need in needs.items():
        found = rows[need].numpy()
        relevance[layer, "at"], relevance[layer, "before"] = found[1:], found[:-1]
    pruned = draft.encode(video, question).keep(Uniform(ratio=ratio).keep(collector.evidence()))
    state, _ = draft.prefill(pruned, capacity=pruned.length + len(ids))
    guesses = draft.forward(ids, chain(len(ids)), state).logits_MW.argmax(-1)[:-1].numpy()
    facts = Facts(target.processor.tokenizer).tokens
    told = ids[1:].numpy()
    fact = np.isin(told, facts)
    return Tokens(
        fact=fact,
        missed=guesses != told,
        missed_fact=fact & np.isin(guesses, facts) & (guesses != told),
        relevance=relevance,
    )


def area(videos: Sequence[Sequence[Tokens]], layer: int, state: str, *, missed: bool) -> str:
    """The area under the ROC curve over all tokens, or those that the draft missed, with its bootstrap standard error
    over the videos; a dash where there is only one kind of tokens."""
    parts = [_joined([_chosen(each, layer, state, missed) for each in answers]) for answers in videos]
    rng = np.random.default_rng(0)
    areas = [_area(parts)] + [
        _area([parts[clip] for clip in rng.integers(len(parts), size=len(parts))]) for _ in range(RESAMPLES)
    ]
    known = [each for each in areas if each is not None]
    return "–" if areas[0] is None else f"{areas[0]:.3f} ± {np.std(known):.3f}"


def _chosen(tokens: Tokens, layer: int, state: str, missed: bool) -> Labelled:
    values = tokens.relevance[layer, state]
    return (tokens.missed_fact[tokens.missed], values[tokens.missed]) if missed else (tokens.fact, values)


def _joined(parts: Sequence[Labelled]) -> Labelled:
    labels, values = zip(*parts, strict=True)
    return np.concatenate(labels), np.concatenate(values)


def _area(parts: Sequence[Labelled]) -> float | None:
    fact, values = _joined(parts)
    return float(roc_auc_score(fact, values)) if 0 < fact.sum() < len(fact) else None


def main() -> None:
    parser = arguments(__doc__, draft="other")
    parser.add_argument("--top-n", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    clips = Clips.of(args)
    print(setting(), clips, f"Ratio {args.ratio:g}, N {args.top_n}.\n")
    for family, target, checkpoint in pairs(args):
        draft = checkpoint.load()
        videos: dict[str, list[Tokens]] = {}
        for sample, video in clips:
            read = read_again(target, draft, video, sample.question, ratio=args.ratio, top_n=args.top_n)
            videos.setdefault(sample.video, []).append(read)
        found, by_video = [each for answers in videos.values() for each in answers], list(videos.values())
        told, facts = sum(len(each.fact) for each in found), sum(int(each.fact.sum()) for each in found)
        missed = sum(int(each.missed.sum()) for each in found)
        missed_facts = sum(int(each.missed_fact.sum()) for each in found)
        print(f"### {family}, {args.draft}\n")
        print(
            f"{facts} of {told} tokens are words of facts. The draft misses {missed}, {missed_facts} of them facts.\n"
        )
        head = ["layer", "facts, state before", "state at", "facts among missed, state before", "state at"]
        rows = [
            [layer, *(area(by_video, layer, state, missed=only) for only in (False, True) for state in STATES)]
            for layer in range(target.depth + 1)
        ]
        print(table(head, rows), "\n", flush=True)


if __name__ == "__main__":
    main()
