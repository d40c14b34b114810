"""A folder of clips with a clips.jsonl, and what each of its lines must have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vsd.data.base import demand, demand_id, expanded


def listing_of(path: str | None, bundled: Path) -> Path:
    """The clips.jsonl of this folder, or of the bundled one. Raises ValueError if there is none."""
    folder = expanded(path) if path else bundled
    listing = folder / "clips.jsonl"
    if not listing.is_file():
        raise ValueError(f"data.path: must be a folder with a clips.jsonl, got {str(folder)!r}")
    return listing


def check_named(where: str, row: Mapping[str, Any], names: Sequence[str]) -> None:
    """ValueError unless these fields are there, and the id can be one."""
    for name in names:
        demand(where, name, "there", None, name in row)
    demand_id(where, row["id"])
