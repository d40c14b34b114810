"""Speculative sampling: the generation is drawn from the target's own distribution, over chains and trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vsd.models.tree import children
from vsd.types import Draft, Output, Verdict, VerifierContext
from vsd.utils.probabilities import SamplingParams
from vsd.utils.random_source import RandomSource
from vsd.verifiers.base import Verifier


def speculative_walk(draft: Draft, probs_MW: Tensor, random: RandomSource) -> Verdict:
    """From the root down: try a node's children in turn, go on from the first that is accepted, and end with a token
    from what the refused ones have left of the target's distribution.

    `probs_MW`: the target's distribution after each node, row 0 after the last committed token. A last node that the
    target has not read has none: behind it no token is drawn.
    """
    below = children(draft.parents)
    tokens = draft.tokens
    node, path = -1, list[int]()
    while node + 1 < len(probs_MW):
        left_W = probs_MW[node + 1]
        for child in below[node]:
            proposed_W = None if draft.probs_NW is None else draft.probs_NW[child].to(left_W)
            if random.happens(acceptance(left_W, proposed_W, tokens[child])):
                node = child
                path.append(child)
                break
            left_W = residual(left_W, proposed_W, tokens[child])
        else:
            return Verdict(path=tuple(path), bonus=random.pick(left_W), relaxed=(False,) * len(path))
    return Verdict(path=tuple(path), bonus=None, relaxed=(False,) * len(path))


def acceptance(target_W: Tensor, proposed_W: Tensor | None, token: int) -> float:
    """The probability that `token` stands: min(1, p / q). A token that was not drawn (None) has q = 1."""
    if proposed_W is None:
        return float(target_W[token])
    return min(1.0, float(target_W[token]) / float(proposed_W[token]))


def residual(target_W: Tensor, proposed_W: Tensor | None, token: int) -> Tensor:
    """The target's distribution after `token` was refused: max(p - q, 0), normalised."""
    if proposed_W is None:
        rest_W = target_W.clone()
        rest_W[token] = 0
    else:
        rest_W = (target_W - proposed_W).clamp(min=0)
    total = rest_W.sum()
    # Only rounding can refuse a token where p and q are equal everywhere.
    return rest_W / total if total > 0 else target_W


@dataclass(frozen=True, kw_only=True)
class Sampling(SamplingParams, Verifier):
    """Speculative sampling: tokens are drawn from the target's own distribution at a temperature, with top-p and top-k.

    arXiv 2211.17192 and 2302.01318 for chains; trees by recursive rejection as in SpecInfer, arXiv 2305.09781. The
    draft may be drawn or greedy: a token that was not drawn counts as proposed with certainty.

    Differs from the paper in: nothing; at temperature 0 it is greedy verification.
    """

    lossless: ClassVar[bool] = True

    @property
    def deterministic(self) -> bool:
        return self.temperature == 0

    def alone(self) -> Verifier:
        return self

    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        return speculative_walk(draft, self.probs(output.logits_MW), random)
