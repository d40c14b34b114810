"""A folder of clips with a clips.jsonl: the lines of it, each with where it stands for a message."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vsd.data.base import demand, demand_id, expanded
from vsd.utils.validation import shortened


def listing_of(path: str | None, bundled: Path) -> Path:
    """The clips.jsonl of this folder, or of the bundled one. Raises ValueError if there is none."""
    folder = expanded(path) if path else bundled
    listing = folder / "clips.jsonl"
    if not listing.is_file():
        raise ValueError(f"data.path: must be a folder with a clips.jsonl, got {str(folder)!r}")
    return listing


def rows_of(listing: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON objects of its lines, each behind the words with which a message about it begins. Raises ValueError for
    a line that is none, and if there is no line."""
    lines = [(number, line) for number, line in enumerate(listing.read_bytes().split(b"\n"), 1) if line.strip()]
    if not lines:
        raise ValueError(f"data.path: clips.jsonl must hold at least one clip, got {str(listing)!r}")
    for number, line in lines:
        where = f"data.path: line {number} of {str(listing)!r}"
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise ValueError(f"{where}: must be a JSON object, got {shortened(line.decode(errors='replace').strip())}")
        yield where, row


def check_named(where: str, row: Mapping[str, Any], names: Sequence[str]) -> None:
    """ValueError unless these fields are there, and the id can be one."""
    for name in names:
        demand(where, name, "there", None, name in row)
    demand_id(where, row["id"])
