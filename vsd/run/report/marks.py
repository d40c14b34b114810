"""A sample's tokens with what the verifier thought of each: relaxed ones marked, visual relevance as a line of bars."""

from __future__ import annotations

from collections.abc import Sequence

from vsd.types import Mark

BARS = "▁▂▃▄▅▆▇█"


def marked(pieces: Sequence[str], token_marks: Sequence[Mark], opening: str = "⟦", closing: str = "⟧") -> str:
    """The text with brackets around its relaxed tokens; a leading space stays outside."""
    parts = []
    for piece, mark in zip(pieces, token_marks, strict=True):
        bare = piece.lstrip(" ")
        space = piece[: len(piece) - len(bare)]
        parts.append(f"{space}{opening}{bare}{closing}" if mark.relaxed else piece)
    return "".join(parts)


def heat_line(pieces: Sequence[str], token_marks: Sequence[Mark]) -> str:
    """A bar under each character of the text, the higher the more its token depends on the video (see `heats`); empty
    if relevance was not computed."""
    shares = heats(token_marks)
    if not any(share is not None for share in shares):
        return ""
    return "".join(len(piece) * step(share, BARS, " ") for piece, share in zip(pieces, shares, strict=True))


def heats(token_marks: Sequence[Mark]) -> list[float | None]:
    """Each token's relevance between that of the least (0) and the most (1) relevant token of this text."""
    known = [mark.relevance for mark in token_marks if mark.relevance is not None]
    low, span = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    return [None if mark.relevance is None else (mark.relevance - low) / (span or 1.0) for mark in token_marks]


def step(share: float | None, steps: Sequence[str], unknown: str) -> str:
    """The one of the steps, all equally high, that a share in [0, 1] lies on."""
    return unknown if share is None else steps[min(int(share * len(steps)), len(steps) - 1)]
