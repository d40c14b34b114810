"""LVSpec: strict where a token depends on the video, loose elsewhere, tolerant of shifted positions."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from vsd.chance import Chance
from vsd.fields import require, require_number, require_one_of, require_share, require_whole
from vsd.types import Draft, Evidence, Output, Verdict
from vsd.verifiers.base import Verifier
from vsd.verifiers.relaxed import Line, Relaxed

THRESHOLDS = ("rank", "quantile", "absolute")
SIDES = ("both", "earlier", "later")
MATCHES = ("either", "draft_in_target", "target_in_draft")


def loose_by_rank(relevance: Sequence[float], looseness: float) -> tuple[bool, ...]:
    """The share `looseness` of the places, rounded down, with the least relevance; of equals the earlier are strict."""
    count = math.floor(looseness * len(relevance) + 1e-9)
    order = sorted(range(len(relevance)), key=lambda place: (relevance[place], -place))
    loose = set(order[:count])
    return tuple(place in loose for place in range(len(relevance)))


def loose_by_quantile(relevance: Sequence[float], seen: Sequence[float], looseness: float) -> tuple[bool, ...]:
    """The places below the `looseness` quantile of the relevances seen so far in this answer (`seen`, sorted)."""
    return tuple(bisect.bisect_right(seen, value) <= looseness * len(seen) for value in relevance)


def shifted(tokens: Sequence[int], argmax: Sequence[int], place: int, *, window: int, side: str, match: str) -> bool:
    """Whether the draft's token at `place` occurs near it in the target's sequence, or the target's in the draft's."""
    first = place if side == "later" else max(0, place - window)
    last = place if side == "earlier" else place + window
    near = slice(first, last + 1)
    draft_in_target = match != "target_in_draft" and tokens[place] in argmax[near]
    target_in_draft = match != "draft_in_target" and argmax[place] in tokens[near]
    return draft_in_target or target_in_draft


@dataclass(frozen=True, kw_only=True)
class LVSpec(Relaxed):
    """Loose verification: only tokens that depend on the video must be the target's own.

    LVSpec, arXiv 2604.05650. Relevance is `vsd.relevance`'s. `looseness` is the paper's lambda: the share of a draft's
    places that is relaxed, those of the least relevance (`threshold=rank`); or the places below that quantile of the
    relevances of the answer's drafts so far (`quantile`), or below the value `below` (`absolute`). With `shift` a
    mismatch at a strict place is forgiven when the token occurs within `shift_window` places in the other sequence
    (position-shift tolerance). Looseness 0 is greedy verification, whatever `shift` says; it
    has no part in `threshold=absolute`.

    Differs from the paper in: not published, therefore fields: the form of the threshold, the tolerance's window (3),
    its side (both) and its direction (either); the relevance of a place is that of the state which predicts it; the
    window of the tolerance ends with the draft.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance"})

    looseness: float = 0.7
    threshold: str = "rank"
    below: float = 0.5
    shift: bool = True
    shift_window: int = 3
    shift_side: str = "both"
    shift_match: str = "either"
    seen: list[float] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_share("verifier.looseness", self.looseness)
        require_one_of("verifier.threshold", self.threshold, THRESHOLDS)
        require_number("verifier.below", self.below)
        require("verifier.shift", "true or false", self.shift, isinstance(self.shift, bool))
        require_whole("verifier.shift_window", self.shift_window, least=1)
        require_one_of("verifier.shift_side", self.shift_side, SIDES)
        require_one_of("verifier.shift_match", self.shift_match, MATCHES)

    def for_sample(self) -> Verifier:
        return replace(self)

    def verify(self, draft: Draft, output: Output, evidence: Evidence, chance: Chance) -> Verdict:
        if output.relevance_M is not None and self.threshold == "quantile":
            for value in output.relevance_M[draft.parents_N.to(output.relevance_M.device) + 1].tolist():
                bisect.insort(self.seen, value)
        return super().verify(draft, output, evidence, chance)

    def stands(self, line: Line) -> tuple[bool, ...]:
        if self.looseness == 0:
            return line.same
        loose = self._loose(line.relevance)
        return tuple(
            same or loose[place] or (self.shift and self._shifted(line, place)) for place, same in enumerate(line.same)
        )

    def _loose(self, relevance: Sequence[float]) -> tuple[bool, ...]:
        if self.threshold == "absolute":
            return tuple(value < self.below for value in relevance)
        if self.threshold == "rank":
            return loose_by_rank(relevance, self.looseness)
        return loose_by_quantile(relevance, self.seen, self.looseness)

    def _shifted(self, line: Line, place: int) -> bool:
        return shifted(
            line.tokens, line.argmax, place, window=self.shift_window, side=self.shift_side, match=self.shift_match
        )
