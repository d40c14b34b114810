"""MovingShapes: generated clips of coloured shapes that stand or move, with the facts they show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsd.fields import require, require_one_of
from vsd.types import Sample
from vsd.zoo import CLIPS, texts

ASKED = ("description", "open", "choice")
LETTERS = tuple(texts.LETTERS)


@dataclass(frozen=True, kw_only=True)
class MovingShapes:
    """The bundled held-out clips, or those of another folder that holds a clips.jsonl (`path`).

    Each line has id, video (file name), question, reference and facts, and may have `questions`, a list of short ones
    with text and answer. `ask` says what is asked: the question (for a "description", scored by its facts), or those of
    `questions` that are "open" or whose answer is the letter of a "choice".
    """

    path: str | None = None
    ask: str = "description"

    def __post_init__(self) -> None:
        require_one_of("data.ask", self.ask, ASKED)

    def samples(self) -> list[Sample]:
        """The samples in the order of clips.jsonl. Raises ValueError if there is none or a line lacks a field."""
        folder = Path(self.path) if self.path else CLIPS
        listing = folder / "clips.jsonl"
        if not listing.is_file():
            raise ValueError(f"data.path: must be a folder with a clips.jsonl, got {str(folder)!r}")
        lines = [line for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not lines:
            raise ValueError(f"data.path: clips.jsonl must hold at least one sample, got {str(listing)!r}")
        found = [
            sample
            for number, line in enumerate(lines, start=1)
            for sample in _samples(folder, listing, number, line, self.ask)
        ]
        require("data.ask", f"something that {listing} asks", self.ask, bool(found))
        return found


def _samples(folder: Path, listing: Path, number: int, line: str, ask: str) -> list[Sample]:
    try:
        return list(_asked(folder, json.loads(line), ask))
    except (ValueError, KeyError, TypeError) as error:
        rule = "each line must be a JSON object with id, video and question (questions: text and answer)"
        raise ValueError(f"data.path: {rule}, got line {number} of {str(listing)!r}") from error


def _asked(folder: Path, row: dict[str, Any], ask: str) -> Iterator[Sample]:
    name, video = str(row["id"]), str(folder / row["video"])
    if ask == "description":
        reference, facts = row.get("reference", ""), row.get("facts", {})
        yield Sample(id=name, video=video, question=row["question"], reference=reference, facts=facts)
        return
    for place, short in enumerate(row.get("questions", [])):
        if (short["answer"] in LETTERS) == (ask == "choice"):
            yield Sample(id=f"{name}-{place}", video=video, question=short["text"], reference=short["answer"])
