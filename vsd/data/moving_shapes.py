"""MovingShapes: generated clips of coloured shapes that stand or move, with the facts they show."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from vsd.types import Sample
from vsd.zoo import CLIPS


@dataclass(frozen=True, kw_only=True)
class MovingShapes:
    """The bundled held-out clips, or those of another folder that holds a clips.jsonl (`path`).

    Each line has id, video (file name), question, reference and facts.
    """

    path: str | None = None

    def samples(self) -> list[Sample]:
        """The samples in the order of clips.jsonl. Raises ValueError if there is none or a line lacks a field."""
        folder = Path(self.path) if self.path else CLIPS
        listing = folder / "clips.jsonl"
        if not listing.is_file():
            raise ValueError(f"data.path: must be a folder with a clips.jsonl, got {str(folder)!r}")
        lines = [line for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not lines:
            raise ValueError(f"data.path: clips.jsonl must hold at least one sample, got {str(listing)!r}")
        return [_sample(folder, listing, number, line) for number, line in enumerate(lines, start=1)]


def _sample(folder: Path, listing: Path, number: int, line: str) -> Sample:
    try:
        row = json.loads(line)
        return Sample(
            id=str(row["id"]),
            video=str(folder / row["video"]),
            question=row["question"],
            reference=row.get("reference", ""),
            facts=row.get("facts", {}),
        )
    except (ValueError, KeyError, TypeError) as error:
        rule = "each line must be a JSON object with id, video and question"
        raise ValueError(f"data.path: {rule}, got line {number} of {str(listing)!r}") from error
