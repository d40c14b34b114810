"""The version of a run's files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA = 1
"""Counted up when a file of a run folder gets other fields, or a field another meaning. It stands in provenance.json
and in each line of samples.jsonl; a reader takes its own alone."""


def check_schema(folder: Path, provenance: Mapping[str, Any]) -> None:
    """Raise ValueError for a run folder that a vsd of another schema has written last."""
    found = provenance.get("schema")
    if provenance and found != SCHEMA:
        writer = (provenance.get("packages") or {}).get("vsd") or "unknown"
        raise ValueError(
            f"FOLDER: must be of schema {SCHEMA}, which this version reads, "
            f"got {'none' if found is None else found} (written by vsd {writer}) in {str(folder)!r}"
        )
