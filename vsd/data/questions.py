"""A user's own questions, in a file of theirs: JSON lines, JSON, CSV or TSV."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vsd.data.base import as_text, check_sample, demand, demand_id, expanded
from vsd.data.choices import LETTERS, without_letters
from vsd.data.table import read_rows
from vsd.types import Sample, Span
from vsd.utils.validation import is_number, require, shortened

log = logging.getLogger(__name__)

FIELDS = ("video", "question", "id", "reference", "options", "start", "end")
ASK_FOR_LETTER = "Answer with the option's letter from the given choices directly."
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True, kw_only=True)
class Questions:
    """The questions of a file, in its order: one of each line (JSON lines, CSV, TSV) or entry (JSON).

    Each has `video`, a path relative to the file's folder or to `root`, and `question`, where the run's own `question`
    is not to be asked; and may have `id` (default: its number), `reference`, `options` (a list; in a cell also with |
    between them), `start` and `end` in seconds or as m:ss. What else it has is not read. `columns` says what the file
    calls these fields, where by another name. Options that the question does not hold are listed behind it.
    """

    path: str
    root: str | None = None
    question: str | None = None
    columns: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", as_text("data.path", self.path))
        for name in ("root", "question"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, as_text(f"data.{name}", value))
        unknown = [name for name in self.columns or () if name not in FIELDS]
        require("data.columns", f"names for {', '.join(FIELDS)}", dict(self.columns or {}), not unknown)

    def samples(self) -> list[Sample]:
        """The samples in the file's order. Raises ValueError for the first line that is none, with its number, and if
        no video of them is there."""
        file = expanded(self.path)
        folder = expanded(self.root) if self.root else file.parent
        rows, samples, seen, others = read_rows(file), list[Sample](), dict[str, str](), set[str]()
        for number, (where, row) in enumerate(rows, 1):
            given = {name: row[self._called(name)] for name in FIELDS if row.get(self._called(name)) not in (None, "")}
            others |= row.keys() - {self._called(name) for name in FIELDS}
            sample = self._sample(where, number, given, row, folder)
            if sample.id in seen:
                raise ValueError(f"{where}: id must be another than that of {seen[sample.id]}, got {sample.id!r}")
            seen[sample.id] = where.removeprefix("data.path: ").partition(" of ")[0]
            samples.append(sample)
        for name, column in (self.columns or {}).items():
            require("data.columns", f"names that a line has ({name})", column, any(column in row for _, row in rows))
        if others:
            log.info("data.path: not read are %s", shortened(sorted(others)))
        if not any(Path(sample.video).is_file() for sample in samples):
            rule = f"a file below {str(folder)!r} (data.root says where else)"
            raise ValueError(f"data.path: video must be {rule}, got {samples[0].video!r} and no other that exists")
        return samples

    def _called(self, name: str) -> str:
        return (self.columns or {}).get(name, name)

    def _sample(
        self, where: str, number: int, given: Mapping[str, Any], row: Mapping[str, Any], folder: Path
    ) -> Sample:
        if "video" not in given:
            raise ValueError(f"{where}: {self._missing('video', row)}")
        question = given.get("question", self.question)
        if question is None:
            raise ValueError(f"{where}: {self._missing('question', row)}")
        demand(where, "video", "text", given["video"], isinstance(given["video"], str))
        named = given.get("id", f"{number:04d}")
        demand_id(where, named)
        options = _options(where, given.get("options", ()))
        sample = Sample(
            id=str(named),
            video=str(folder / Path(given["video"]).expanduser()),
            question=question,
            reference=_reference(given.get("reference", ""), options),
            options=options,
            span=_span(where, given),
        )
        check_sample(where, sample)
        return replace(sample, question=_with_options(sample.question, options))

    def _missing(self, name: str, row: Mapping[str, Any]) -> str:
        """What is said of a field that is not there, with the one that it may be under."""
        column = self._called(name)
        near = get_close_matches(column, [*row], n=1)
        hint = f" (is it {near[0]!r}? data.columns={{{name}: {near[0]}}})" if near else ""
        return f"{column} must be there, got {shortened(sorted(row))}{hint}"


def _options(where: str, given: Any) -> tuple[str, ...]:
    """A list, or a cell that holds one, as JSON or with | between its texts."""
    if isinstance(given, str):
        text = given.strip()
        try:
            given = json.loads(text) if text.startswith("[") else [each.strip() for each in text.split("|")]
        except ValueError:
            given = text
    demand(where, "options", "a list of texts, or texts with | between them", given, isinstance(given, (list, tuple)))
    return tuple(without_letters(given) if all(isinstance(one, str) for one in given) else given)


def _reference(given: Any, options: tuple[str, ...]) -> Any:
    """The letter of the option that is right; it may be given as the option's text."""
    if isinstance(given, (int, float)) and not isinstance(given, bool) and not options:
        return str(given)
    return LETTERS[options.index(given)] if given in options else given


def _with_options(question: str, options: tuple[str, ...]) -> str:
    if not options or all(_says(question, option) for option in options):
        return question
    listed = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([question, *listed, ASK_FOR_LETTER])


def _says(question: str, option: str) -> bool:
    """Whether the question lists this option: as a line of its own, or behind its letter."""
    return re.search(rf"(?m)(?:^|[A-Z][.):]\s*){re.escape(option)}\s*(?:$|[;,|])", question) is not None


def _span(where: str, given: Mapping[str, Any]) -> Span:
    start = _seconds(where, "start", given.get("start", 0.0))
    end = _seconds(where, "end", given["end"]) if "end" in given else None
    demand(where, "end", f"after start, {start:g} s", end, end is None or end > start)
    return Span(start, end)


def _seconds(where: str, name: str, given: Any) -> float:
    """Seconds as a number, or as [h:]m:ss."""
    value: Any = given
    if isinstance(given, str):
        clock = _CLOCK.fullmatch(given.strip())
        if clock:
            hours, minutes, seconds = (float(part or 0) for part in clock.groups())
            value = 3600 * hours + 60 * minutes + seconds
        else:
            try:
                value = float(given)
            except ValueError:
                value = None
    demand(where, name, "seconds, at least 0, or [h:]m:ss", given, is_number(value) and value >= 0)
    return float(value)
