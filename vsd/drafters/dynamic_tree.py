"""A tree that grows where the draft model is confident."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import ClassVar

import torch
from torch import Tensor

from vsd.drafters.base import Drafter, require_model
from vsd.drafters.growth import Growth
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.types import Context, Draft
from vsd.utils.random_source import RandomSource
from vsd.utils.validation import require_whole


@dataclass(frozen=True, kw_only=True)
class DynamicTree(Drafter):
    """Dynamic tree: on each level the likeliest paths are grown further, and the likeliest nodes of all are offered.

    EAGLE-2, arXiv 2406.16858. A node's worth is the product of the draft's probabilities on the way to it. On each of
    gamma levels the `top_k` worthiest nodes get `top_k` children each; of all nodes the `total` worthiest are offered,
    which always form a tree.

    Differs from the paper in: the draft is the small video model itself, not a head on the target's features.
    """

    chains: ClassVar[bool] = False
    confident: ClassVar[bool] = True

    total: int = 60
    top_k: int = 10

    def __post_init__(self) -> None:
        require_whole("drafter.total", self.total, least=1)
        require_whole("drafter.top_k", self.top_k, least=1)

    def nodes(self, gamma: int) -> int:
        return max(self.total, self.top_k * max(gamma - 1, 1))

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        growth = Growth(context, *require_model(model, state))
        tokens, parents, worth = list[int](), list[int](), list[float]()
        level = [-1]
        logits_MW = growth.root_W[None]
        for depth in range(gamma):
            new = self._children(level, logits_MW, tokens, parents, worth)
            if depth + 1 == gamma:
                break
            level = sorted(new, key=lambda node: -worth[node])[: self.top_k]
            logits_MW = growth.read(level, [tokens[node] for node in level], [parents[node] for node in level])
        best = sorted(range(len(tokens)), key=lambda node: -worth[node])[: self.total]
        kept = sorted(best)
        place = {node: index for index, node in enumerate(kept)} | {-1: -1}
        sure = [exp(worth[node] - (worth[parents[node]] if parents[node] >= 0 else 0.0)) for node in kept]
        return Draft(
            tokens_N=torch.tensor([tokens[node] for node in kept]),
            parents_N=torch.tensor([place[parents[node]] for node in kept]),
            confidence_N=torch.tensor(sure) if context.with_confidence else None,
        )

    def _children(
        self, level: list[int], logits_MW: Tensor, tokens: list[int], parents: list[int], worth: list[float]
    ) -> list[int]:
        """Give every node of a level its likeliest children; returns their numbers."""
        count = min(self.top_k, logits_MW.shape[-1])
        likeliest = logits_MW.float().log_softmax(-1).topk(count, dim=-1)
        first = len(tokens)
        rows = zip(level, likeliest.values.tolist(), likeliest.indices.tolist(), strict=True)
        for parent, logs, children in rows:
            tokens += children
            parents += [parent] * count
            worth += [min(log, 0.0) + (worth[parent] if parent >= 0 else 0.0) for log in logs]
        return list(range(first, len(tokens)))
