"""Exact greedy verification: a draft token stands if it is the target's argmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vsd.types import Draft, Output, Verdict, VerifierContext
from vsd.utils.random_source import RandomSource
from vsd.verifiers.base import Verifier


def greedy_path(tokens_N: Sequence[int], parents_N: Sequence[int], argmax_M: Sequence[int]) -> tuple[int, ...]:
    """The longest path from the root on which every token is the target's argmax at its parent; the first of equals.

    `argmax_M[0]` follows the last committed token, `argmax_M[i + 1]` follows node i; of a leaf it is not asked.
    """
    paths: dict[int, tuple[int, ...]] = {-1: ()}
    best: tuple[int, ...] = ()
    for node, (token, parent) in enumerate(zip(tokens_N, parents_N, strict=True)):
        if parent in paths and token == argmax_M[parent + 1]:
            paths[node] = (*paths[parent], node)
            best = max(best, paths[node], key=len)
    return best


@dataclass(frozen=True, kw_only=True)
class Greedy(Verifier):
    """Argmax to argmax: the generation is token-identical to the target's own greedy decoding."""

    lossless: ClassVar[bool] = True

    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        argmax_M = output.logits_MW.argmax(-1).tolist()
        path = greedy_path(draft.tokens, draft.parents, argmax_M)
        row = output.behind(path)
        return Verdict(path=path, bonus=None if row is None else argmax_M[row], relaxed=(False,) * len(path))
