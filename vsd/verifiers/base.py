"""What a verifier is: the rule by which draft tokens stand or fall. It sees small tensors only, never a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from vsd.types import Draft, Output, Verdict, VerifierContext
from vsd.utils.random_source import RandomSource


class Verifier(ABC):
    """An acceptance rule. Subclasses are frozen dataclasses: their fields are their config, and they remember nothing.
    What a rule wants to know of the generation so far stands in the context.

    What is a property here is a ClassVar in a subclass where it is fixed, a property where it depends on fields.
    """

    @property
    @abstractmethod
    def lossless(self) -> bool:
        """Whether the generation follows the target's own distribution (at temperature 0: is token-identical to it)."""

    @property
    def synthetic(self) -> bool:
        """Whether acceptance is made up: such a run measures time, and its generations mean nothing."""
        return False

    @property
    def needs_confidence(self) -> bool:
        """Whether it looks at `Draft.confidence_N`, which is computed for such a rule only."""
        return False

    @property
    def needs(self) -> frozenset[str]:
        """Evidence by name (see `vsd.evidence`): of the target's prefill for the context, and of the verifying pass for
        `Output.evidence` where it has rows of a pass."""
        return frozenset()

    @property
    def deterministic(self) -> bool:
        """Whether the target alone gives the same tokens every time, so that generations can be compared with them."""
        return True

    @property
    def strict(self) -> Mapping[str, Any]:
        """The fields under which a rule that is not lossless is greedy verification, whatever its others are; its tests
        decode with them."""
        return {}

    @property
    def loose(self) -> Mapping[str, Any]:
        """The fields under which a rule that is not lossless lets most tokens stand that are not the target's own."""
        return {}

    def alone(self) -> Verifier:
        """The rule under which the target decodes alone: what this rule's generations are compared with."""
        from vsd.verifiers.greedy import Greedy

        return Greedy()

    def idle(self, depth: int) -> str:
        """What of the rule's settings can have no effect on drafts of at most `depth` tokens in a row, as a sentence;
        empty if there is nothing to say."""
        return ""

    @abstractmethod
    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        """Judge a draft of N nodes by the target's output over M = N + 1 nodes: the last committed token, then them.

        Row 0 of `output.logits_MW` follows the last committed token, row i + 1 follows node i. A draft of no nodes is
        allowed: the verdict is then the target's own next token.

        Under a parallel schedule the target may not have read the last node, a leaf: then M = N, that node is judged
        like any other, and if it is the last one that stands there is no token of the target's own behind it
        (`bonus` None). `output.behind(path)` tells. The verdict is final.
        """


def check_final(verdict: Verdict, output: Output, rule: Verifier) -> None:
    """Raise RuntimeError for a verdict whose token of the target's own is missing, or was made up."""
    known = output.behind(verdict.path) is not None
    if known != (verdict.bonus is not None):
        what = "a bonus token" if known else "no bonus token behind a node that the target has not read"
        raise RuntimeError(f"{type(rule).__name__}: a verdict needs {what}, got {verdict.bonus!r}")
