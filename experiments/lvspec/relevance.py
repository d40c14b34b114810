"""Does the visual relevance find the words that depend on the video? ``python -m experiments.lvspec.relevance``

On the held-out clips, the target reads its own answer once more and every layer's relevance of every token is held
against what the token is: part of a word that states a fact (a colour, a place, a number, ...) or wording.
`relevance/auc` says how well a layer tells them apart (0.5: not at all), for the state that predicts a token and for
the state that has just read it. Beside it the same among the tokens that the draft misses, since only there a rule has
a choice: a miss is a fact where both models' tokens are of facts, else wording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.common import Clips, arguments, pairs, plus_minus, setting, table
from vsd.data.scoring import fact_tokens
from vsd.data.small_events import SmallEvents
from vsd.engine import Engine
from vsd.evidence import Collector, Reading
from vsd.evidence.relevance import Relevance
from vsd.metrics import estimate
from vsd.metrics.relevance import auc, relevance_sums
from vsd.metrics.sums import pooled
from vsd.models import VideoLM
from vsd.models.text import pieces
from vsd.models.tree import chain
from vsd.parallelism import Autoregressive
from vsd.pruners.uniform import Uniform
from vsd.types import Sample, Video

STATES = ("before", "at")


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens of an answer: is each of a fact, did the draft miss it, is the miss a fact, and
    its relevance by (layer, state)."""

    fact: NDArray[np.bool_]
    missed: NDArray[np.bool_]
    missed_fact: NDArray[np.bool_]
    relevance: dict[tuple[int, str], NDArray[np.float64]]


@torch.inference_mode()
def read_again(
    target: VideoLM, draft: VideoLM, data: SmallEvents, sample: Sample, video: Video, *, ratio: float, top_n: int
) -> Tokens:
    """The target's own answer, read once more by both models; the draft on its pruned prompt."""
    ids = torch.tensor(Engine(target=target, parallelism=Autoregressive()).run(video, sample.question).tokens)
    prompt, relevance = target.encode(video, sample.question), {}
    needs = {layer: Relevance(layer=str(layer), top_n=top_n).need for layer in range(target.depth + 1)}
    reading = Reading(prompt=prompt, depth=target.depth, ranks=target.ranks)
    collector = Collector({need: need for need in needs.values()}, reading, in_passes=needs.values())
    prefill = target.start_prefill(prompt, collector=collector, capacity=prompt.length + len(ids))
    prefill.finish()
    rows = target.forward(ids, chain(len(ids)), prefill.state, collector=collector).evidence
    for layer, need in needs.items():
        found = rows[need].numpy()
        relevance[layer, "at"], relevance[layer, "before"] = found[1:], found[:-1]
    pruned = draft.encode(video, sample.question).keep(Uniform(ratio=ratio).keep(collector.evidence()))
    state, _ = draft.prefill(pruned, capacity=pruned.length + len(ids))
    guesses = draft.forward(ids, chain(len(ids)), state).logits_MW.argmax(-1)[:-1].numpy()
    fact = np.array(fact_tokens(data.fact_spans, sample, pieces(target.decode, ids.tolist()))[1:])
    guessed = np.array([fact_tokens(data.fact_spans, sample, [target.decode([each])])[0] for each in guesses])
    missed = guesses != ids[1:].numpy()
    return Tokens(fact=fact, missed=missed, missed_fact=missed & fact & guessed, relevance=relevance)


def area(videos: Mapping[str, Sequence[Tokens]], layer: int, state: str, *, missed: bool) -> str:
    """`relevance/auc` of all tokens, or those that the draft missed; a dash where there is only one kind of tokens."""
    sums = {
        video: {"done": 1.0} | pooled(_sums(each, each.relevance[layer, state], missed) for each in answers)
        for video, answers in videos.items()
    }
    found = estimate(auc.value, sums)
    return "–" if np.isnan(found.value) else plus_minus(found, digits=3)


def _sums(tokens: Tokens, relevance: NDArray[np.float64], missed: bool) -> dict[str, float]:
    if missed:
        return relevance_sums(tokens.missed_fact[tokens.missed], relevance[tokens.missed])
    return relevance_sums(tokens.fact, relevance)


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
            read = read_again(target, draft, clips.data, sample, video, ratio=args.ratio, top_n=args.top_n)
            videos.setdefault(sample.video, []).append(read)
        found = [each for answers in videos.values() for each in answers]
        told, facts = sum(len(each.fact) for each in found), sum(int(each.fact.sum()) for each in found)
        missed = sum(int(each.missed.sum()) for each in found)
        missed_facts = sum(int(each.missed_fact.sum()) for each in found)
        print(f"### {family}, {args.draft}\n")
        print(f"{facts} of {told} tokens are of facts. The draft misses {missed}, {missed_facts} of them facts.\n")
        head = ["layer", "facts, state before", "state at", "facts among missed, state before", "state at"]
        rows = [
            [layer, *(area(videos, layer, state, missed=only) for only in (False, True) for state in STATES)]
            for layer in range(target.depth + 1)
        ]
        print(table(head, rows), "\n", flush=True)


if __name__ == "__main__":
    main()
