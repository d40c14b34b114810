"""Typical acceptance: a token stands if it is not too unlikely for how sure the target is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vsd.utils.validation import require_number
from vsd.verifiers.relaxed import Line, Relaxed


@dataclass(frozen=True, kw_only=True)
class Typical(Relaxed):
    """Typical acceptance: a token stands if p > min(epsilon, delta * exp(-H)), H the entropy of the target's
    distribution.

    Medusa, arXiv 2401.10774. `epsilon` 1 with `delta` at least the size of the vocabulary is greedy verification.

    Differs from the paper in: the target's distribution is taken at temperature 1, and what it adds itself is its
    argmax.
    """

    strict: ClassVar[Mapping[str, Any]] = {"epsilon": 1.0, "delta": 1e9}
    loose: ClassVar[Mapping[str, Any]] = {"epsilon": 0.0, "delta": 0.0}

    epsilon: float = 0.09
    delta: float = 0.3

    def __post_init__(self) -> None:
        require_number("verifier.epsilon", self.epsilon, least=0)
        require_number("verifier.delta", self.delta, least=0)

    def stands(self, line: Line) -> tuple[bool, ...]:
        probs_nW = line.probs_nW
        entropy_n = -probs_nW.xlogy(probs_nW).sum(-1)
        least_n = (self.delta * (-entropy_n).exp()).clamp(max=self.epsilon)
        likely = [bool(probs_nW[place, token] > least_n[place]) for place, token in enumerate(line.tokens)]
        return tuple(same or high for same, high in zip(line.same, likely, strict=True))
