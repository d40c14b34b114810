"""Relaxing at random: what every rule that chooses where to be loose has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vsd.utils.validation import require_share
from vsd.verifiers.relaxed import Line, Relaxed


@dataclass(frozen=True, kw_only=True)
class RandomRelax(Relaxed):
    """A token that differs from the target's own stands with probability `looseness`: the control of LVSpec.

    A baseline of arXiv 2604.05650. `looseness` 0 is greedy verification.
    """

    strict: ClassVar[Mapping[str, Any]] = {"looseness": 0.0}
    loose: ClassVar[Mapping[str, Any]] = {"looseness": 0.9}

    looseness: float = 0.7

    def __post_init__(self) -> None:
        require_share("verifier.looseness", self.looseness)

    def odds(self, place: int) -> float:
        return self.looseness

    def stands(self, line: Line) -> tuple[bool, ...]:
        return tuple(same or spared for same, spared in zip(line.same, line.spared, strict=True))
