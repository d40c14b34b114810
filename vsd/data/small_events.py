"""SmallEvents: long generated clips in which small things happen, with the facts that an answer must state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsd.data.base import as_text, check_sample, demand, demand_text, demand_texts
from vsd.data.listing import check_named, listing_of
from vsd.data.scoring import plain
from vsd.data.table import read_rows
from vsd.types import Sample, Score
from vsd.utils.validation import is_whole, require, require_one_of, require_whole
from vsd.zoo.small_events import CLIPS
from vsd.zoo.small_events.questions import DESCRIPTIONS, KINDS
from vsd.zoo.small_events.reading import PATTERNS, fact_spans, score

GROUPS = {"description": DESCRIPTIONS, "all": KINDS}


@dataclass(frozen=True, kw_only=True)
class SmallEvents:
    """The bundled held-out clips, or those of another folder that holds a clips.jsonl (`path`).

    Each line has id, video (file name), and `questions`, a list with kind, text, answer, facts or options; it may
    have the clip's number of frames. `ask` is the kind of the questions that are asked, a group of kinds or a list of
    both; `frames` the number that a clip must have, so that reading as many skips none (None: any number).
    """

    path: str | None = None
    ask: str | Sequence[str] = "one"
    frames: int | None = 64

    def __post_init__(self) -> None:
        several = isinstance(self.ask, Sequence) and not isinstance(self.ask, str)
        names = tuple(self.ask) if several else (self.ask,)
        require("data.ask", "at least one kind", self.ask, bool(names))
        for kind in names:
            require_one_of("data.ask", kind, (*KINDS, *GROUPS))
        object.__setattr__(self, "ask", names if len(names) > 1 else names[0])
        if self.path is not None:
            object.__setattr__(self, "path", as_text("data.path", self.path))
        if self.frames is not None:
            require_whole("data.frames", self.frames, least=1)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of question that are asked."""
        names = (self.ask,) if isinstance(self.ask, str) else self.ask
        chosen = {kind for name in names for kind in GROUPS.get(name, (name,))}
        return tuple(kind for kind in KINDS if kind in chosen)

    def samples(self) -> list[Sample]:
        """The samples in the order of clips.jsonl. Raises ValueError if there is none, or a field of a line is not what
        it must be."""
        listing = listing_of(self.path, CLIPS)
        rows = []
        for where, row in read_rows(listing):
            _check_row(where, row)
            rows.append(row)
        lengths = {row["frames"] for row in rows if row.get("frames")}
        rows = [row for row in rows if self.frames is None or row.get("frames") in (None, self.frames)]
        rule = f"null or the frames of a clip of {listing} ({', '.join(map(str, sorted(lengths)))})"
        require("data.frames", rule, self.frames, bool(rows))
        samples = [sample for row in rows for sample in _asked(listing.parent, row, self.kinds)]
        require("data.ask", f"something that {listing} asks", self.ask, bool(samples))
        return samples

    def score(self, sample: Sample, text: str) -> dict[str, Score]:
        """The facts that an answer has right, if several kinds are asked of each as well, and what is plain."""
        if not sample.facts.get("sections"):
            return plain(sample, text)
        right, asked = score(text, sample.facts)
        facts = Score(sum(right.values()), sum(asked.values()))
        by_kind = {f"facts_{sample.facts['kind']}": facts} if len(self.kinds) > 1 else {}
        return {"facts": facts, **by_kind, **plain(sample, text)}

    def fact_spans(self, sample: Sample, text: str) -> list[tuple[int, int]]:
        """The words that facts are put in, right or wrong; all others can be known without the video."""
        return fact_spans(text)


def _asked(folder: Path, row: Mapping[str, Any], kinds: Sequence[str]) -> Iterator[Sample]:
    """Ids are those of the clips with the kind, and a number from the second of a kind on."""
    seen: Counter[str] = Counter()
    for question in row["questions"]:
        kind = question["kind"]
        seen[kind] += 1
        name = f"{row['id']}-{kind}" + (f"-{seen[kind]}" if seen[kind] > 1 else "")
        if kind in kinds:
            yield _sample(name, str(folder / row["video"]), question)


def _sample(name: str, video: str, question: Mapping[str, Any]) -> Sample:
    return Sample(
        id=name,
        video=video,
        question=question["text"],
        reference=question.get("answer", ""),
        options=tuple(question.get("options", ())),
        facts=question.get("facts", {}),
    )


def _check_row(where: str, row: Mapping[str, Any]) -> None:
    """ValueError unless all fields of a clip are of their types, asked or not."""
    check_named(where, row, ("id", "video", "questions"))
    demand_text(where, "video", row["video"])
    frames = row.get("frames")
    demand(where, "frames", "a whole number, at least 1", frames, frames is None or is_whole(frames, least=1))
    questions = row["questions"]
    objects = isinstance(questions, list) and all(isinstance(item, dict) for item in questions)
    demand(where, "questions", "a list of objects, at least one", questions, objects and bool(questions))
    for place, question in enumerate(questions, start=1):
        _check_question(where, f"question {place}", question)
        check_sample(f"{where}: question {place}", _sample(str(row["id"]), row["video"], question))


def _check_question(where: str, its: str, question: Mapping[str, Any]) -> None:
    kind, options = question.get("kind"), question.get("options", [])
    demand(where, f"{its}'s kind", f"one of {', '.join(KINDS)}", kind, kind in KINDS)
    demand_text(where, f"{its}'s text", question.get("text"))
    demand_text(where, f"{its}'s answer", question.get("answer", ""), empty=True)
    demand_texts(where, f"{its}'s options", options)
    holds = bool(options) == (kind == "choice")
    demand(where, f"{its}'s options", "there for a choice, and for nothing else", options, holds)
    facts = question.get("facts", {})
    demand(where, f"{its}'s facts", "an object", facts, isinstance(facts, dict))
    if not facts:
        return
    demand(where, f"{its}'s facts", f"of the kind {kind!r}", facts.get("kind"), facts.get("kind") == kind)
    sections = facts.get("sections")
    objects = isinstance(sections, list) and all(isinstance(item, dict) for item in sections)
    demand(where, f"{its}'s sections", "a list of objects", sections, objects)
    for number, section in enumerate(sections or [], start=1):
        _check_section(where, f"{its}'s section {number}", section)


def _check_section(where: str, its: str, section: Mapping[str, Any]) -> None:
    demand_text(where, f"{its}'s about", section.get("about"))
    for name in ("facts", "given"):
        stated = section.get(name, {})
        demand(where, f"{its}'s {name}", "an object", stated, isinstance(stated, dict))
        for fact, value in stated.items():
            known = name == "given" or fact in PATTERNS  # given are also the seconds of a shot, which are not read
            demand(where, f"{its}'s facts", f"named among {', '.join(PATTERNS)}", fact, known)
            demand_text(where, f"{its}'s {fact}", value)
