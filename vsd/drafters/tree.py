"""A tree of fixed form: SpecVLM's 25 nodes, or any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from vsd.drafters.base import Drafter, require_model
from vsd.drafters.growth import Growth
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.tree import children, depths
from vsd.types import Context, Draft
from vsd.utils.probabilities import SamplingParams, confidence
from vsd.utils.random_source import RandomSource
from vsd.utils.validation import require

SPECVLM = (
    "0 1 2 3 0,0 0,1 0,2 1,0 1,1 2,0 2,1 3,0 0,0,0 0,0,1 0,0,2 0,1,0 0,1,1 0,2,0 0,2,1 1,0,0 "
    "0,0,0,0 0,0,0,1 0,0,0,2 0,0,0,0,0 0,0,0,0,1"
)


class Form(NamedTuple):
    """A tree's parents, and for each node which of its parent's children it is (0 = the likeliest)."""

    parents: tuple[int, ...]
    ranks: tuple[int, ...]


@lru_cache(maxsize=32)
def form(paths: str, depth: int | None = None) -> Form:
    """The form of a tree, cut at `depth` levels, from the paths to its nodes: "0 1 0,0" is two children of the root,
    the likeliest and the second, and the likeliest child of the first.

    Raises ValueError for a path that is no list of ranks, comes twice, or whose parent is missing.
    """
    rule = "paths of ranks like '0 1 0,0', each node once and with its parent"
    listed: list[tuple[int, ...]] = []
    for entry in paths.split():
        ranks = entry.split(",")
        require("drafter.paths", rule, entry, all(rank.isdecimal() for rank in ranks))
        listed.append(tuple(int(rank) for rank in ranks))
    require("drafter.paths", rule, paths, bool(listed) and len(set(listed)) == len(listed))
    listed.sort(key=lambda path: (len(path), path))
    place = {path: index for index, path in enumerate(listed)} | {(): -1}
    for path in listed:
        require("drafter.paths", rule, ",".join(map(str, path)), path[:-1] in place)
    kept = [path for path in listed if depth is None or len(path) <= depth]
    return Form(parents=tuple(place[path[:-1]] for path in kept), ranks=tuple(path[-1] for path in kept))


@dataclass(frozen=True, kw_only=True)
class Tree(SamplingParams, Drafter):
    """Static tree: the likeliest next tokens at each node, in a form fixed beforehand; gamma cuts its depth.

    SpecVLM, arXiv 2508.16201 (25 nodes, depth 5, by default). `paths` lists the nodes by the ranks that lead to them.
    At a temperature above 0 the children of a node are drawn from the draft's distribution, independently, in the order
    of their ranks (SpecInfer, arXiv 2305.09781).
    """

    chains: ClassVar[bool] = False
    confident: ClassVar[bool] = True

    paths: str = SPECVLM

    def __post_init__(self) -> None:
        super().__post_init__()
        require("drafter.paths", "text", self.paths, isinstance(self.paths, str))
        form(self.paths)

    def depth(self, gamma: int) -> int:
        return max(depths(form(self.paths, gamma).parents)) + 1

    def nodes(self, gamma: int) -> int:
        return len(form(self.paths, gamma).parents)

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        growth = Growth(context, *require_model(model, state))
        parents, ranks = form(self.paths, gamma)
        below, levels = children(parents), depths(parents)
        tokens: dict[int, int] = {}
        probs: dict[int, Tensor] = {}
        sure: dict[int, Tensor] = {}

        def grow(logits_W: Tensor, nodes: Sequence[int]) -> None:
            self._children(logits_W, nodes, ranks, tokens, probs, random)
            if context.with_confidence:
                tokens_n = torch.tensor([tokens[node] for node in nodes], device=logits_W.device)
                sure.update(zip(nodes, confidence(logits_W.expand(len(nodes), -1), tokens_n), strict=True))

        grow(growth.root_W, below[-1])
        for level in range(max(levels)):
            inner = [node for node in range(len(parents)) if levels[node] == level and below[node]]
            logits_MW = growth.read(inner, [tokens[node] for node in inner], [parents[node] for node in inner])
            for logits_W, node in zip(logits_MW, inner, strict=True):
                grow(logits_W, below[node])
        order = range(len(parents))
        return Draft(
            tokens_N=torch.tensor([tokens[node] for node in order]),
            parents_N=torch.tensor(parents),
            probs_NW=torch.stack([probs[node] for node in order]) if probs else None,
            confidence_N=torch.stack([sure[node] for node in order]) if sure else None,
        )

    def _children(
        self,
        logits_W: Tensor,
        nodes: Sequence[int],
        ranks: Sequence[int],
        tokens: dict[int, int],
        probs: dict[int, Tensor],
        random: RandomSource,
    ) -> None:
        """Give the children of one node their tokens, and the probabilities that they were drawn with."""
        if self.temperature:
            probs_W = self.probs(logits_W[None])[0]
            for node in nodes:
                tokens[node], probs[node] = random.pick(probs_W), probs_W
            return
        likeliest = logits_W.topk(1 + max(ranks[node] for node in nodes)).indices.tolist()
        tokens.update({node: likeliest[ranks[node]] for node in nodes})
