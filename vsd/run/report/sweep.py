"""The jobs of a multirun as one table."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from vsd.metrics import METRICS

COLUMNS = {
    "accept/length": "per\nround",
    "accept/rate": "accept\nrate",
    "speed/decode": "speed",
    "speed/end_to_end": "end to\nend",
    "exact/mismatched": "differ",
    "samples/done": "done",
    "samples/failed": "failed",
}
"""The metrics of the table, and its narrow headings."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job: its number, what was set for it, its metrics, or the error that ended it."""

    number: str
    overrides: tuple[str, ...]
    metrics: dict[str, float]
    error: str


def jobs(folder: Path, *, since: float = 0.0) -> list[Job]:
    """The jobs under a multirun's folder that Hydra started at `since` (seconds of the epoch) or later, by number; a
    longer sweep into the same folder may have left others."""
    overrides = folder.glob("*/.hydra/overrides.yaml")
    folders = [file.parent.parent for file in overrides if file.stat().st_mtime >= since]
    return [_job(path) for path in sorted(folders, key=lambda path: (len(path.name), path.name))]


def write_csv(sweep_jobs: Sequence[Job], file: Path) -> None:
    """One line per job: number, overrides, error, and every metric any job has."""
    names = sorted({name for job in sweep_jobs for name in job.metrics})
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["job", "overrides", "error", *names])
        for job in sweep_jobs:
            values = [job.metrics.get(name, "") for name in names]
            writer.writerow([job.number, " ".join(job.overrides), job.error, *values])


def table(sweep_jobs: Sequence[Job]) -> Table:
    """The table that a multirun ends with. Overrides that all jobs share stand in its title, errors under it."""
    shared = set.intersection(*(set(job.overrides) for job in sweep_jobs)) if len(sweep_jobs) > 1 else set()
    errors = "\n".join(f"[red]job {job.number}[/]  {escape(job.error)}" for job in sweep_jobs if job.error)
    title = escape(" ".join(["Multirun", *sorted(shared)]))
    result = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    result.caption, result.caption_justify, result.caption_style = errors or None, "left", ""
    result.add_column("job", justify="right")
    result.add_column("set", overflow="fold")  # gives way where the terminal is narrow, the numbers do not
    for heading in COLUMNS.values():
        result.add_column(heading, justify="right", no_wrap=True)
    for job in sweep_jobs:
        own = "\n".join(override for override in job.overrides if override not in shared)
        cells = [METRICS[name].written(job.metrics[name]) if name in job.metrics else "–" for name in COLUMNS]
        result.add_row(job.number, escape(own), *cells)
    return result


def _job(path: Path) -> Job:
    metrics, error = path / "metrics.json", path / "error.txt"
    message = error.read_text(encoding="utf-8").strip() if error.is_file() else ""
    if not message and not metrics.is_file():
        message = "did not finish"
    return Job(
        number=path.name,
        overrides=tuple(OmegaConf.load(path / ".hydra" / "overrides.yaml")),
        metrics=json.loads(metrics.read_text(encoding="utf-8")) if metrics.is_file() else {},
        error=message,
    )
