"""Models of a few tokens, whose distribution of every text is known, and the distributions of their generations."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from tests.branches import Branches, probs_of
from vsd.utils.probabilities import SamplingParams


class SmallModel:
    """Random logits for every sequence of tokens: a target or a draft with a distribution of its own."""

    def __init__(self, seed: int, vocab: int) -> None:
        self.seed, self.vocab = seed, vocab

    def __call__(self, tokens: tuple[int, ...]) -> Tensor:
        return _logits(self.seed, self.vocab, tokens)

    def probs(self, params: SamplingParams, tokens: tuple[int, ...]) -> Tensor:
        return _probs(params.temperature, params.top_p, params.top_k, self.seed, self.vocab, tokens)


@cache
def _logits(seed: int, count: int, tokens: tuple[int, ...]) -> Tensor:
    rng = torch.Generator().manual_seed(hash((seed, count, *tokens)) % 2**32)
    return 1.5 * torch.randn(count, generator=rng, dtype=torch.float64)


@cache
def _probs(temperature: float, top_p: float, top_k: int, *where: Any) -> Tensor:
    return SamplingParams(temperature=temperature, top_p=top_p, top_k=top_k).probs(_logits(*where)[None])[0]


def probs_of_target(params: SamplingParams, target: SmallModel, length: int) -> dict[tuple[int, ...], float]:
    def generation(random: Branches) -> tuple[int, ...]:
        tokens: tuple[int, ...] = ()
        for _ in range(length):
            tokens = (*tokens, random.pick(target.probs(params, tokens)))
        return tokens

    return probs_of(generation)


def distance(ours: dict[tuple[int, ...], float], theirs: dict[tuple[int, ...], float]) -> float:
    return max(abs(ours.get(tokens, 0.0) - theirs.get(tokens, 0.0)) for tokens in ours.keys() | theirs.keys())
