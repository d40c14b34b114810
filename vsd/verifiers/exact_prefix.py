"""The first tokens exact, whatever the rule behind them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vsd.chance import Chance
from vsd.fields import require, require_whole
from vsd.types import Draft, Evidence, Output, Verdict
from vsd.verifiers.base import Verifier


@dataclass(frozen=True, kw_only=True)
class ExactPrefix(Verifier):
    """The first `length` tokens are the target's own, then another rule decides.

    Relaxed rules weaken safety alignment most in the first tokens of an answer. A round that begins within them is
    exact as a whole.
    """

    inner: Verifier
    length: int = 16
    committed: list[int] = field(default_factory=list, init=False, repr=False, compare=False)
    """Tokens committed in each round of this sample."""

    def __post_init__(self) -> None:
        require_whole("verifier.length", self.length, least=0)
        require("verifier.inner", "a verifier", self.inner, isinstance(self.inner, Verifier))

    @property
    def lossless(self) -> bool:  # type: ignore[override]
        return self.inner.lossless

    @property
    def synthetic(self) -> bool:  # type: ignore[override]
        return self.inner.synthetic

    @property
    def needs(self) -> frozenset[str]:
        return self.inner.needs

    @property
    def deterministic(self) -> bool:
        return self.inner.deterministic

    def alone(self) -> Verifier:
        return self.inner.alone()

    def for_sample(self) -> Verifier:
        return replace(self, inner=self.inner.for_sample())

    def verify(self, draft: Draft, output: Output, evidence: Evidence, chance: Chance) -> Verdict:
        rule = self.inner if sum(self.committed) >= self.length else self.inner.alone()
        verdict = rule.verify(draft, output, evidence, chance)
        self.committed.append(len(verdict.path) + 1)
        return verdict
