"""Which way of drafting pays? ``python -m experiments.drafters.measure [--draft other]``

On the held-out clips, greedy verification, HIPPO's pruning at 90%: every way of drafting decodes each clip in turn,
beside the target alone, so that all speeds are of the same minutes of the same machine.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from experiments.common import Clips, arguments, pairs, setting, shown, side_by_side, table
from vsd.drafters import Chain, Drafter
from vsd.drafters.adaptive import Adaptive
from vsd.drafters.dynamic_tree import DynamicTree
from vsd.drafters.prompt_lookup import PromptLookup
from vsd.drafters.relevance_cut import RelevanceCut
from vsd.drafters.tree import Tree
from vsd.drafters.viskip import ViSkip
from vsd.engine import Engine
from vsd.metrics import summarise
from vsd.models import VideoLM
from vsd.pruners.hippo import Hippo

GAMMAS = range(1, 11)
DEPTHS = (3, 5)
NAMES = ("accept/draft_length", "accept/rate", "speed/decode", "speed/predicted")


def ways() -> Iterator[tuple[str, Drafter, int]]:
    """Name, drafter and gamma of everything that is compared."""
    for gamma in GAMMAS:
        yield "chain", Chain(), gamma
    yield "chain, stops below 0.6", Chain(confidence=0.6), max(GAMMAS)
    yield "adaptive", Adaptive(inner=Chain()), max(GAMMAS)
    yield "relevance cut", RelevanceCut(inner=Chain()), 5
    yield "viskip", ViSkip(inner=Chain()), 5
    for depth in DEPTHS:
        yield "tree", Tree(), depth
        yield "dynamic tree, 25 nodes", DynamicTree(total=25, top_k=4), depth
        yield "dynamic tree, 60 nodes", DynamicTree(), depth
    yield "prompt look-up", PromptLookup(), 5


def measure(target: VideoLM, draft: VideoLM, clips: Clips, ratio: float) -> Iterator[list[object]]:
    """A row a way of drafting."""
    engines = [
        Engine(target=target, draft=draft, pruner=Hippo(ratio=ratio), drafter=drafter, gamma=gamma)
        for _, drafter, gamma in ways()
    ]
    for (name, _, gamma), records in zip(ways(), side_by_side(engines, clips), strict=True):
        summary = summarise(records)
        values, errors = summary.values, summary.errors
        yield [name, gamma, *(shown(values, errors, each) for each in NAMES), int(values["exact/mismatched"])]


def main() -> None:
    args = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    clips = Clips.of(args)
    print(setting(), clips, f"Ratio {args.ratio:g}, drafts {args.draft}.\n")
    for family, target, draft in pairs(args):
        print(f"### {family}, {args.draft}\n")
        rows = list(measure(target, draft.load(), clips, args.ratio))
        print(table(["drafter", "gamma", *NAMES, "mismatched"], rows), "\n", flush=True)


if __name__ == "__main__":
    main()
