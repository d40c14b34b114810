"""Top-k with a probability gap: a token stands if the target nearly chose it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vsd.utils.validation import require_share, require_whole
from vsd.verifiers.relaxed import Line, Relaxed


@dataclass(frozen=True, kw_only=True)
class TopK(Relaxed):
    """A token stands if it is among the target's k likeliest and at most `gap` less likely than the first of them.

    `k` 1 is greedy verification, and so is `gap` 0 but for ties.
    """

    strict: ClassVar[Mapping[str, Any]] = {"k": 1}
    loose: ClassVar[Mapping[str, Any]] = {"k": 1000, "gap": 1.0}

    k: int = 3
    gap: float = 0.3

    def __post_init__(self) -> None:
        require_whole("verifier.k", self.k, least=1)
        require_share("verifier.gap", self.gap)

    def stands(self, line: Line) -> tuple[bool, ...]:
        likeliest = line.probs_nW.topk(min(self.k, line.logits_nW.shape[-1]), dim=-1)
        return tuple(
            same or any(top == token and probs[0] - prob <= self.gap for top, prob in zip(tops, probs, strict=True))
            for same, token, tops, probs in zip(
                line.same, line.tokens, likeliest.indices.tolist(), likeliest.values.tolist(), strict=True
            )
        )
