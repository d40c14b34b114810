"""MovingShapes: generated clips of coloured shapes that stand or move, with the facts they show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsd.data.base import as_text, check_sample, demand, demand_text, demand_texts
from vsd.data.listing import check_named, listing_of, rows_of
from vsd.data.scoring import plain
from vsd.fields import is_whole, require, require_one_of
from vsd.types import Sample, Score
from vsd.zoo import CLIPS
from vsd.zoo.score import score
from vsd.zoo.shapes import PLACES

ASKED = ("description", "open", "choice")


@dataclass(frozen=True, kw_only=True)
class MovingShapes:
    """The bundled held-out clips, or those of another folder that holds a clips.jsonl (`path`).

    Each line has id, video (file name), question, and may have reference, facts, and `questions`, a list of short ones
    with text, answer and, if the answer is the letter of one, options. `ask` says what is asked: the question (for a
    "description", scored by its facts), or those of `questions` that are "open" or a "choice".
    """

    path: str | None = None
    ask: str = "description"

    def __post_init__(self) -> None:
        require_one_of("data.ask", self.ask, ASKED)
        if self.path is not None:
            object.__setattr__(self, "path", as_text("data.path", self.path))

    def samples(self) -> list[Sample]:
        """The samples in the order of clips.jsonl. Raises ValueError if there is none, or a field of a line is not what
        it must be."""
        listing = listing_of(self.path, CLIPS)
        rows = rows_of(listing, thing="sample")
        found = [sample for where, row in rows for sample in _samples(listing.parent, where, row, self.ask)]
        require("data.ask", f"something that {listing} asks", self.ask, bool(found))
        return found

    def score(self, sample: Sample, text: str) -> dict[str, Score]:
        """The facts that a description has right, and what is plain."""
        if not sample.facts:
            return plain(sample, text)
        right, asked = score(text, sample.facts)
        return {"facts": Score(sum(right.values()), sum(asked.values())), **plain(sample, text)}


def _samples(folder: Path, where: str, row: Mapping[str, Any], ask: str) -> list[Sample]:
    _check_row(where, row)
    found = list(_asked(folder, row, ask))
    for sample in found:
        check_sample(where, sample)
    return found


def _check_row(where: str, row: Mapping[str, Any]) -> None:
    """ValueError unless the fields are there and of the types that a sample is made from; `check_sample` knows more."""
    check_named(where, row, ("id", "video", "question"))
    for name in ("video", "question"):
        demand_text(where, name, row[name])
    demand_text(where, "reference", row.get("reference", ""), empty=True)
    _check_facts(where, row.get("facts", {}))
    questions = row.get("questions", [])
    objects = isinstance(questions, list) and all(isinstance(each, dict) for each in questions)
    demand(where, "questions", "a list of objects", questions, objects)
    for place, short in enumerate(questions, start=1):
        for name in ("text", "answer"):
            demand_text(where, f"question {place}'s {name}", short.get(name))
        demand_texts(where, f"question {place}'s options", short.get("options", []))


def _check_facts(where: str, facts: Any) -> None:
    """ValueError unless the facts are none or all that is scored."""
    demand(where, "facts", "an object", facts, isinstance(facts, dict))
    if not facts:
        return
    demand(where, "facts' count", "a whole number", facts.get("count"), is_whole(facts.get("count"), least=0))
    demand_text(where, "facts' background", facts.get("background"))
    shapes = facts.get("shapes")
    objects = isinstance(shapes, list) and all(isinstance(each, dict) for each in shapes)
    demand(where, "facts' shapes", "a list of objects", shapes, objects)
    for place, shape in enumerate(shapes or [], start=1):
        for name in ("size", "colour", "shape", "motion"):
            demand_text(where, f"shape {place}'s {name}", shape.get(name))
        known = shape.get("place") in PLACES
        demand(where, f"shape {place}'s place", f"one of {', '.join(PLACES)}", shape.get("place"), known)


def _asked(folder: Path, row: Mapping[str, Any], ask: str) -> Iterator[Sample]:
    name, video = str(row["id"]), str(folder / row["video"])
    if ask == "description":
        reference, facts = row.get("reference", ""), row.get("facts", {})
        yield Sample(id=name, video=video, question=row["question"], reference=reference, facts=facts)
        return
    for place, short in enumerate(row.get("questions", [])):
        options = tuple(short.get("options", ()))
        if bool(options) == (ask == "choice"):
            asked = {"question": short["text"], "reference": short["answer"], "options": options}
            yield Sample(id=f"{name}-{place}", video=video, **asked)
