"""Attention pruning: the verifier's own eyes, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vsd.pruners.base import ScorePruner
from vsd.pruners.similarity import at_least_float32
from vsd.types import Evidence


@dataclass(frozen=True, kw_only=True)
class Attention(ScorePruner):
    """Keeps the visual tokens that the target's text suffix attends to most: SpecVLM's score without its second stage.

    Paper: arXiv 2508.16201.

    Differs from the paper in: there is no second stage, the whole budget goes to the highest scores.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"attention"})

    def score(self, evidence: Evidence) -> Tensor:
        """score_V = a_V, the mean attention weight over all layers, heads and suffix queries."""
        return at_least_float32(evidence["attention"])
