"""LVSpec: strict where a token depends on the video, loose elsewhere, tolerant of shifted positions."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from vsd.utils.validation import require, require_number, require_one_of, require_share, require_whole
from vsd.verifiers.relaxed import Line, Relaxed

Threshold = Literal["rank", "quantile", "absolute"]
Side = Literal["both", "earlier", "later"]
Match = Literal["either", "draft_in_target", "target_in_draft"]


def loose_by_rank(relevance: Sequence[float], looseness: float) -> tuple[bool, ...]:
    """The share `looseness` of the places, rounded down, with the least relevance; of equals the earlier are strict."""
    count = math.floor(looseness * len(relevance) + 1e-9)
    order = sorted(range(len(relevance)), key=lambda place: (relevance[place], -place))
    loose = set(order[:count])
    return tuple(place in loose for place in range(len(relevance)))


def loose_by_quantile(relevance: Sequence[float], seen: Sequence[float], looseness: float) -> tuple[bool, ...]:
    """The places below the `looseness` quantile of the relevances of this generation: of its tokens so far (`seen`) and
    of these places."""
    known = sorted([*seen, *relevance])
    return tuple(bisect.bisect_right(known, value) <= looseness * len(known) for value in relevance)


def shifted(tokens: Sequence[int], argmax: Sequence[int], place: int, *, window: int, side: Side, match: Match) -> bool:
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

    LVSpec, arXiv 2604.05650. Relevance is `vsd.evidence.relevance`'s. `looseness` is the paper's lambda: the share of a
    draft's places that is relaxed, those of the least relevance (`threshold=rank`); or the places below that quantile
    of the relevances of the generation so far, these places included (`quantile`), or below the value `below`
    (`absolute`). With `shift` a mismatch at a strict place is forgiven when the token occurs within `shift_window`
    places in the other sequence (position-shift tolerance). Looseness 0 is greedy verification, whatever `shift` says;
    other values have no part in `threshold=absolute`.

    Differs from the paper in: not published, therefore fields: the form of the threshold, the tolerance's window (3),
    its side (both) and its direction (either); the relevance of a place is that of the state which predicts it; the
    window of the tolerance ends with the draft.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance"})
    strict: ClassVar[Mapping[str, Any]] = {"looseness": 0.0}
    loose: ClassVar[Mapping[str, Any]] = {"looseness": 0.9, "threshold": "rank"}

    looseness: float = 0.7
    threshold: Threshold = "rank"
    below: float = 0.5
    shift: bool = True
    shift_window: int = 3
    shift_side: Side = "both"
    shift_match: Match = "either"

    def __post_init__(self) -> None:
        require_share("verifier.looseness", self.looseness)
        require_one_of("verifier.threshold", self.threshold, get_args(Threshold))
        require_number("verifier.below", self.below)
        require("verifier.shift", "true or false", self.shift, isinstance(self.shift, bool))
        require_whole("verifier.shift_window", self.shift_window, least=1)
        require_one_of("verifier.shift_side", self.shift_side, get_args(Side))
        require_one_of("verifier.shift_match", self.shift_match, get_args(Match))

    def stands(self, line: Line) -> tuple[bool, ...]:
        if self.looseness == 0:
            return line.same
        loose = self._loose(line)
        return tuple(
            same or loose[place] or (self.shift and self._shifted(line, place)) for place, same in enumerate(line.same)
        )

    def _loose(self, line: Line) -> tuple[bool, ...]:
        if self.threshold == "absolute":
            return tuple(value < self.below for value in line.relevance)
        if self.threshold == "rank":
            return loose_by_rank(line.relevance, self.looseness)
        seen = [value for round_ in line.context.rounds for value in round_.evidence.get("relevance", ())]
        return loose_by_quantile(line.relevance, seen, self.looseness)

    def _shifted(self, line: Line, place: int) -> bool:
        return shifted(
            line.tokens, line.argmax, place, window=self.shift_window, side=self.shift_side, match=self.shift_match
        )
