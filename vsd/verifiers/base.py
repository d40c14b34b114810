"""What a verifier is: the rule by which draft tokens stand or fall. It sees small tensors only, never a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from vsd.chance import Chance
from vsd.types import Draft, Evidence, Output, Verdict


class Verifier(ABC):
    """An acceptance rule. Subclasses are frozen dataclasses: their fields are their config."""

    lossless: ClassVar[bool]
    """Whether the answer follows the target's own law (at temperature 0: is token-identical to it)."""
    synthetic: ClassVar[bool] = False
    """Whether acceptance is made up: such a run measures time, and its answers mean nothing."""

    @property
    def needs(self) -> frozenset[str]:
        """Evidence of the target's prefill, as in `Evidence`; and "relevance" for `Output.relevance_M` of the
        verifying pass. A ClassVar where it is fixed, a property where it depends on fields."""
        return frozenset()

    @property
    def deterministic(self) -> bool:
        """Whether the target alone gives the same tokens every time, so that answers can be compared with them."""
        return True

    def alone(self) -> Verifier:
        """The rule under which the target decodes alone: what this rule's answers are compared with."""
        from vsd.verifiers.greedy import Greedy

        return Greedy()

    def for_sample(self) -> Verifier:
        """The rule for one new sample. A rule that remembers what it saw returns a fresh copy."""
        return self

    @abstractmethod
    def verify(self, draft: Draft, output: Output, evidence: Evidence, chance: Chance) -> Verdict:
        """Judge a draft of N nodes by the target's output over M = N + 1 nodes: the last committed token, then them.

        Row 0 of `output.logits_MW` follows the last committed token, row i + 1 follows node i. A draft of no nodes is
        allowed: the verdict is then the target's own next token.
        """
