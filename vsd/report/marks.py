"""A sample's tokens with what the verifier thought of each: relaxed ones marked, visual relevance as a line of bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsd.types import Trace

BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Of one token of an answer: does it stand only by a relaxed rule, and how much does it depend on the video (None
    if that was not computed)."""

    relaxed: bool = False
    relevance: float | None = None


def marks(trace: Trace) -> list[Mark]:
    """A mark for each token of the answer; the first comes from the prefill and is the target's own."""
    found = [Mark()]
    for each in trace.rounds:
        for place in range(each.committed):
            relevance = each.relevance[place] if place < len(each.relevance) else None
            found.append(Mark(relaxed=place in each.relaxed, relevance=relevance))
    return found[: len(trace.tokens)]


def marked(pieces: Sequence[str], found: Sequence[Mark], opening: str = "⟦", closing: str = "⟧") -> str:
    """The text with brackets around its relaxed tokens; a leading space stays outside."""
    parts = []
    for piece, mark in zip(pieces, found, strict=True):
        bare = piece.lstrip(" ")
        space = piece[: len(piece) - len(bare)]
        parts.append(f"{space}{opening}{bare}{closing}" if mark.relaxed else piece)
    return "".join(parts)


def heat_line(pieces: Sequence[str], found: Sequence[Mark]) -> str:
    """A bar under each character of the text, the higher the more its token depends on the video, between the least
    and the most relevant token of this text; empty if relevance was not computed."""
    known = [mark.relevance for mark in found if mark.relevance is not None]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    return "".join(len(piece) * _bar(mark, low, span) for piece, mark in zip(pieces, found, strict=True))


def _bar(mark: Mark, low: float, span: float) -> str:
    if mark.relevance is None:
        return " "
    share = (mark.relevance - low) / span if span else 0.0
    return BARS[min(int(share * len(BARS)), len(BARS) - 1)]
