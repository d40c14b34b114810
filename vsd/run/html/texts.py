"""A sample's text in pieces: whose tokens they are, round by round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vsd.metrics.record import Record
from vsd.metrics.texts import first_divergence
from vsd.run.report.printable import printable
from vsd.types import Mark

LONGEST = 6000  # letters of a text that are shown

Kind = Literal["draft", "relaxed", "correction", "target", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Tokens of one kind and one round. `begins` a round; `parts`: here the text leaves the target's own."""

    text: str
    kind: Kind
    begins: bool = False
    parts: bool = False


def ours(record: Record) -> list[Piece]:
    """The run's text. Of unknown kind where the record does not hold the single tokens' texts."""
    trace = record.trace
    if trace is None or len(record.pieces) != len(trace.tokens):
        return _cut([Piece(text=printable(record.text), kind="unknown")])
    same = first_divergence(trace.tokens, record.baseline.tokens) if record.mismatched and record.baseline else None
    found, past = list[Piece](), Mark()
    for place, (text, mark) in enumerate(zip(record.pieces, trace.marks, strict=True)):
        piece = Piece(
            text=printable(text), kind=_kind(mark), begins=place > 0 and mark.round != past.round, parts=place == same
        )
        if found and found[-1].kind == piece.kind and not (piece.begins or piece.parts):
            last = found.pop()
            piece = Piece(text=last.text + piece.text, kind=last.kind, begins=last.begins, parts=last.parts)
        found.append(piece)
        past = mark
    return _cut(found)


def theirs(record: Record) -> list[Piece]:
    """The target's own text, which parts from ours where the letters do."""
    own = printable(record.baseline_text)
    if not record.mismatched:
        return _cut([Piece(text=own, kind="unknown")])
    same = first_divergence([*map(ord, printable(record.text))], [*map(ord, own)])
    return _cut([Piece(text=own[:same], kind="unknown"), Piece(text=own[same:], kind="unknown", parts=True)])


def _kind(mark: Mark) -> Kind:
    return "relaxed" if mark.relaxed else mark.origin


def _cut(pieces: list[Piece]) -> list[Piece]:
    """The pieces up to so many letters, the rest counted."""
    found, left = list[Piece](), LONGEST
    for piece in pieces:
        found.append(Piece(**{**piece.__dict__, "text": piece.text[:left]}))
        left -= len(found[-1].text)
        if not left:
            break
    more = sum(len(piece.text) for piece in pieces) - (LONGEST - left)
    return [*found, Piece(text=f" … and {more} more letters", kind="unknown")] if more else found
