"""Models of a few words, whose law of every text is known, and the laws of their answers."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from tests.branches import Branches, law_of
from vsd.utils.probabilities import Law


class SmallModel:
    """Random logits for every sequence of words: a target or a draft with a law of its own."""

    def __init__(self, seed: int, words: int) -> None:
        self.seed, self.words = seed, words

    def __call__(self, words: tuple[int, ...]) -> Tensor:
        return _logits(self.seed, self.words, words)

    def law(self, law: Law, words: tuple[int, ...]) -> Tensor:
        return _law(law.temperature, law.top_p, law.top_k, self.seed, self.words, words)


@cache
def _logits(seed: int, count: int, words: tuple[int, ...]) -> Tensor:
    rng = torch.Generator().manual_seed(hash((seed, count, *words)) % 2**32)
    return 1.5 * torch.randn(count, generator=rng, dtype=torch.float64)


@cache
def _law(temperature: float, top_p: float, top_k: int, *where: Any) -> Tensor:
    return Law(temperature=temperature, top_p=top_p, top_k=top_k).law(_logits(*where)[None])[0]


def law_of_target(law: Law, target: SmallModel, length: int) -> dict[tuple[int, ...], float]:
    def answer(chance: Branches) -> tuple[int, ...]:
        words: tuple[int, ...] = ()
        for _ in range(length):
            words = (*words, chance.pick(target.law(law, words)))
        return words

    return law_of(answer)


def distance(ours: dict[tuple[int, ...], float], theirs: dict[tuple[int, ...], float]) -> float:
    return max(abs(ours.get(words, 0.0) - theirs.get(words, 0.0)) for words in ours.keys() | theirs.keys())
