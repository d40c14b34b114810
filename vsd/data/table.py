"""The rows of a file that a user has written: JSON lines, JSON, CSV or TSV, each with where it stands for a message."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vsd.utils.validation import first_line, shortened

Row = tuple[str, dict[str, Any]]
"""The words with which a message about it begins, and its fields by name."""


def read_rows(file: Path) -> list[Row]:
    """All rows. Raises ValueError for a file of another kind, one that is no text, and for a line that is no row."""
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise ValueError(f"data.path: must be a file of {', '.join(READERS)}, got {str(file)!r}")
    if not file.is_file():
        raise ValueError(f"data.path: must be a file that exists, got {str(file)!r}")
    data = file.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n")
        line = data.split(b"\n")[number].decode(errors="replace").strip()
        where = _where(str(file), f"line {number + 1}")
        raise ValueError(f"{where}: must be text in UTF-8, got {shortened(line)}") from error
    rows = list(reader(str(file), text))
    if not rows:
        raise ValueError(f"data.path: must hold at least one row, got {str(file)!r}")
    return rows


def _json_lines(name: str, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = _where(name, f"line {number}")
            yield where, _object(where, _parsed(where, line))


def _json(name: str, text: str) -> Iterator[Row]:
    found = _parsed(f"data.path: {name!r}", text)
    if not isinstance(found, list):
        raise ValueError(f"data.path: {name!r}: must be a list of JSON objects, got {shortened(found)}")
    for number, row in enumerate(found, 1):
        where = _where(name, f"entry {number}")
        yield where, _object(where, row)


def _separated(name: str, text: str, separator: str | None = None) -> Iterator[Row]:
    """Cells by the names of the first line. Empty cells are left out."""
    head = text.split("\n", 1)[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator or max(",;\t", key=head.count), strict=True)
    names = [cell.strip() for cell in _next(lines, name) or []]
    if len(set(names)) < len(names):
        raise ValueError(f"data.path: the columns of {name!r} must have different names, got {shortened(names)}")
    while (cells := _next(lines, name)) is not None:
        where = _where(name, f"line {lines.line_num}")
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(names):
            raise ValueError(f"{where}: must have at most {len(names)} cells, as the first line, got {len(cells)}")
        yield where, {key: cell.strip() for key, cell in zip(names, cells, strict=False) if cell.strip()}


def _next(lines: Any, name: str) -> list[str] | None:
    """The next cells, None at the end. Raises ValueError for what is no line, like a quote that is not closed."""
    try:
        found: list[str] | None = next(lines, None)
    except csv.Error as error:
        raise ValueError(f"{_where(name, f'line {lines.line_num}')}: must be cells ({first_line(error)})") from error
    return found


def _tabs(name: str, text: str) -> Iterator[Row]:
    return _separated(name, text, "\t")


READERS: dict[str, Callable[[str, str], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _separated,
    ".tsv": _tabs,
}


def _where(name: str, place: str) -> str:
    return f"data.path: {place} of {name!r}"


def _parsed(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: must be JSON ({first_line(error)}), got {shortened(text.strip())}") from error


def _object(where: str, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"{where}: must be a JSON object, got {shortened(row)}")
    return row
