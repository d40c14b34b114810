"""What the experiments share: the bundled clips as frames, and a table in Markdown."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.metadata import version

from vsd.data.moving_shapes import MovingShapes
from vsd.types import Sample, Video
from vsd.video import read

FAMILIES = ("qwen2_5_vl", "llava_onevision")


def clips(frames: int, limit: int | None = None) -> list[tuple[Sample, Video]]:
    """The held-out clips, read like any user's video."""
    return [(sample, read(sample.video, frames)) for sample in MovingShapes().samples()[:limit]]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; floats with three digits."""
    shown = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *shown]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def setting() -> str:
    """Date, machine and versions: what a number needs beside it."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    machine = f"{platform.machine()} CPU, Python {platform.python_version()}"
    return f"Measured {date.today().isoformat()}, {machine}, {packages}."
