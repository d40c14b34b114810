"""Models of a few tokens, whose distribution of every text is known: what one drafts and the other says of it, and the
distributions of their generations."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from vsd.models.tree import children
from vsd.testing.branches import Branches, probs_of
from vsd.types import Draft, Output, Verdict
from vsd.utils.probabilities import SamplingParams
from vsd.utils.random_source import RandomSource


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


def propose(model: SmallModel, parents: tuple[int, ...], params: SamplingParams, random: RandomSource) -> Draft:
    """A tree drawn from the model's distribution, or its likeliest tokens (probs None) at temperature 0."""
    paths: dict[int, tuple[int, ...]] = {-1: ()}
    tokens, probs = list[int](), list[Tensor]()
    below = children(parents)
    for node, parent in enumerate(parents):
        logits_W = model(paths[parent])
        probs_W = model.probs(params, paths[parent])
        rank = below[parent].index(node)
        token = random.pick(probs_W) if params.temperature else int(logits_W.topk(rank + 1).indices[rank])
        tokens.append(token)
        probs.append(probs_W)
        paths[node] = (*paths[parent], token)
    return Draft(
        tokens_N=torch.tensor(tokens),
        parents_N=torch.tensor(parents),
        probs_NW=torch.stack(probs) if params.temperature else None,
    )


def output_of(model: Callable[[tuple[int, ...]], Tensor], draft: Draft, text: tuple[int, ...] = ()) -> Output:
    """The model's logits behind a text and behind each node."""
    paths: dict[int, tuple[int, ...]] = {-1: text}
    for node, (token, parent) in enumerate(zip(draft.tokens, draft.parents, strict=True)):
        paths[node] = (*paths[parent], token)
    return Output(logits_MW=torch.stack([model(paths[node]) for node in range(-1, len(paths) - 1)]))


def committed(draft: Draft, verdict: Verdict) -> tuple[int, ...]:
    """The tokens that stand of a draft of which the last node was read, the bonus token included."""
    assert verdict.bonus is not None, "behind a node that was read there is a token of the target's own"
    return (*(draft.tokens[node] for node in verdict.path), verdict.bonus)
