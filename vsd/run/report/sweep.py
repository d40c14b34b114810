"""The jobs of a multirun: which they are, and what is said of them at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Group, RenderableType

from vsd.metrics import METRICS
from vsd.run.results.cells import headline_of
from vsd.run.results.dials import given
from vsd.run.results.pool import pooled
from vsd.run.results.run import Run, load_run
from vsd.run.results.table import rich, table_of, text, troubles
from vsd.run.results.verdict import exactness


def jobs(folder: Path, *, since: float = 0.0) -> list[Run]:
    """The jobs under a multirun's folder that Hydra started at `since` or later (seconds of the epoch, by the clock of
    the folder's file system), by number; a longer sweep into the same folder may have left others."""
    overrides = folder.glob("*/.hydra/overrides.yaml")
    folders = [file.parent.parent for file in overrides if file.stat().st_mtime >= since]
    return [load_run(path) for path in sorted(folders, key=lambda path: (len(path.name), path.name))]


def ended_well(runs: Sequence[Run]) -> bool:
    """Whether every job has."""
    return all(run.state == "done" for run in runs)


def screen(runs: Sequence[Run]) -> RenderableType:
    """What a multirun ends with: a column for each dial that differs, those that all share in the title, and what went
    wrong. Shards of a run have one row."""
    shared = set.intersection(*(set(run.overrides) for run in runs)) if len(runs) > 1 else set[str]()
    title = " ".join(["Multirun", *sorted(shared)])
    together = pooled(runs)
    columns = ("samples/done", *headline_of(together))
    return Group(rich(table_of(together, columns), title), *marks(together), *troubles(runs))


def below(runs: Sequence[Run]) -> list[str]:
    """What is said under a table of runs: whether those that promise it are exact, and what went wrong."""
    return [*marks(runs), *troubles(runs)]


def marks(runs: Sequence[Run]) -> list[str]:
    """Whether those that promise it are exact."""
    return [f"[bold]{name or '     '}[/]  {said}" for name, said in exactness(runs)]


def summary_csv(runs: Sequence[Run]) -> str:
    """A line a job, or a run of shards: the dials that the command line has set or that differ, and every metric that
    any job has, with its error and interval."""
    runs = pooled(runs)
    others = [name for run in runs for name in run.summary.values if name not in METRICS]
    table = table_of(runs, [*METRICS, *dict.fromkeys(others)], mark=False)
    return text(replace(table, dials={**given(runs), **table.dials}), "csv")
