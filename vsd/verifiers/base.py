"""What a verifier is: the rule by which draft tokens stand or fall. It sees small tensors only, never a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch

from vsd.types import Draft, Evidence, Output, Verdict


class Verifier(ABC):
    """An acceptance rule. Subclasses are frozen dataclasses: their fields are their config."""

    lossless: ClassVar[bool]
    """Whether the answer follows the target's own law (at temperature 0: is token-identical to it)."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Evidence of the target's prefill, as in `Evidence`; and "hidden" for the states of the verifying pass."""

    @abstractmethod
    def verify(self, draft: Draft, output: Output, evidence: Evidence, rng: torch.Generator) -> Verdict:
        """Judge a draft of N nodes by the target's output over M = N + 1 nodes: the last committed token, then them.

        Row 0 of `output.logits_MW` follows the last committed token, row i + 1 follows node i. A draft of no nodes is
        allowed: the verdict is then the target's own next token.
        """
