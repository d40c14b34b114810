"""A drafter that guesses, of chains and trees: many of its tokens are wrong, and some are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from vsd.drafters.base import Drafter
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.tree import chain, depths
from vsd.types import Context, Draft
from vsd.utils.random_source import RandomSource

TREE = (-1, -1, 0, 0, 1, 2, 2, 4, 5)
"""The parents of a small tree: two below the root, siblings, and paths of different lengths."""


@dataclass(frozen=True, kw_only=True)
class Guessing(Drafter):
    """Tokens of a vocabulary of `vocab`, each equally likely. A token that is known to be right (`known`, the tokens of
    a generation) is taken where a draw of even odds has it so."""

    needs_model: ClassVar[bool] = False
    confident: ClassVar[bool] = True

    vocab: int
    tree: bool = False
    known: tuple[int, ...] = ()

    @property
    def chains(self) -> bool:
        return not self.tree

    def nodes(self, gamma: int) -> int:
        return len(self._parents(gamma))

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        parents, tokens = self._parents(gamma), list[int]()
        for depth in depths(parents):
            place = len(context.tokens) + depth
            right = place < len(self.known) and random.happens(0.5)
            tokens.append(self.known[place] if right else random.pick(torch.ones(self.vocab)))
        confidence = [random.pick(torch.ones(10)) / 10 for _ in tokens]
        return Draft(
            tokens_N=torch.tensor(tokens, dtype=torch.long),
            parents_N=torch.tensor(parents, dtype=torch.long),
            confidence_N=torch.tensor(confidence) if context.with_confidence else None,
        )

    def _parents(self, gamma: int) -> tuple[int, ...]:
        if not self.tree:
            return chain(gamma)
        return TREE[: sum(depth < gamma for depth in depths(TREE))]  # level by level
