"""Drafting without a model: what followed the last tokens the last time they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from vsd.drafters.base import Drafter
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.tree import chain
from vsd.types import Context, Draft
from vsd.utils.random_source import RandomSource
from vsd.utils.validation import require_whole


def continuation(tokens: Sequence[int], largest: int, smallest: int, count: int) -> list[int]:
    """Up to `count` tokens that followed the latest earlier occurrence of the last n tokens, n as large as possible
    between `largest` and `smallest`; empty if there is none."""
    for size in range(min(largest, len(tokens) - 1), smallest - 1, -1):
        tail = list(tokens[-size:])
        for start in range(len(tokens) - size - 1, -1, -1):
            if list(tokens[start : start + size]) == tail:
                return list(tokens[start + size : start + size + count])
    return []


@dataclass(frozen=True, kw_only=True)
class PromptLookup(Drafter):
    """Prompt look-up: proposes what followed the last n tokens earlier in the question or the generation.

    `largest` and `smallest` bound n. Needs no draft model, and proposes nothing where nothing is repeated.
    """

    needs_model: ClassVar[bool] = False

    largest: int = 3
    smallest: int = 1

    def __post_init__(self) -> None:
        require_whole("drafter.smallest", self.smallest, least=1)
        require_whole("drafter.largest", self.largest, least=self.smallest)

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        proposed = continuation([*context.prompt, *context.tokens], self.largest, self.smallest, gamma)
        tokens_N = torch.tensor(proposed, dtype=torch.long)
        return Draft(tokens_N=tokens_N, parents_N=torch.tensor(chain(len(proposed)), dtype=torch.long))
