"""What runs are there? ``vsd runs [FOLDER ...]``

A line a run: when, how it ended, what tells it from the others, and its headline. Examples:

  vsd runs                                         all below outputs/
  vsd runs outputs/2026-11-26 --sort speed/decode  the fastest first
  vsd runs --where pruner=hippo --where ratio=0.9  those of one kind
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vsd.metrics import metric_of
from vsd.run.results.cells import HEADLINE, STATES, cell, check_metrics, heading, headline_of, written
from vsd.run.results.dials import dials_of, settings
from vsd.run.results.fitted import Fitted
from vsd.run.results.pool import pooled
from vsd.run.results.run import Run, common_folder, find_runs

_FOLDER, _SETTINGS = 16, 20  # letters of a run's folder, and of what tells it apart, that a narrow terminal leaves


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; 2 for a folder without runs, or a name that no metric or dial has."""
    parser = argparse.ArgumentParser(
        prog="vsd runs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("outputs")], metavar="FOLDER")
    parser.add_argument("--where", action="append", default=[], metavar="DIAL=VALUE", help="only runs with this value")
    parser.add_argument(
        "--sort", default="time", metavar="METRIC", help="the best first; default: time, the last first"
    )
    parser.add_argument(
        "--columns", nargs="+", metavar="METRIC", help=f"of metrics.json (default: {', '.join(HEADLINE)})"
    )
    args = parser.parse_args(argv)
    try:
        check_metrics("--columns", args.columns or ())
        runs = ordered(chosen(pooled(find_runs(args.folders)), args.where), args.sort)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    Console().print(Fitted(make=partial(table, runs), columns=args.columns or headline_of(runs)))
    return 0


def chosen(runs: Sequence[Run], wheres: Sequence[str]) -> list[Run]:
    """The runs whose dials have these values. Raises ValueError for a dial that none of them has."""
    found = list(runs)
    for where in wheres:
        name, equals, value = where.partition("=")
        if not equals:
            raise ValueError(f"--where: must be DIAL=VALUE, got {where!r}")
        if not any(name in dials_of(run) for run in runs):
            raise ValueError(f"--where: must name a dial of these runs, got {name!r}")
        found = [run for run in found if written(dials_of(run).get(name)) == value]
    return found


def ordered(runs: Sequence[Run], by: str) -> list[Run]:
    """The runs in this order. Raises ValueError for what is no metric."""
    if by == "time":
        return sorted(runs, key=lambda run: run.time, reverse=True)
    metric = metric_of(by)
    if metric is None:
        raise ValueError(f"--sort: must be time or a metric (docs/metrics.md), got {by!r}")
    sign = 1 if metric.better == "lower" else -1
    have = [run for run in runs if by in run.summary.values]
    return sorted(have, key=lambda run: sign * run.summary.values[by]) + [run for run in runs if run not in have]


def table(runs: Sequence[Run], columns: Sequence[str]) -> Table:
    """A line a run."""
    above = common_folder(runs)
    found = Table(
        title=escape(str(above)), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    found.add_column("run", overflow="fold", min_width=_FOLDER)
    found.add_column("when", no_wrap=True)
    found.add_column("state", no_wrap=True)
    found.add_column("done", justify="right", no_wrap=True)
    for name in columns:
        found.add_column(heading(name), justify="right", no_wrap=True)
    found.add_column("what tells it apart", overflow="fold", min_width=_SETTINGS)
    told_apart = settings(runs)
    for place, run in enumerate(runs):
        state = f"[{STATES[run.state]}]{run.state}[/]"
        done = sum(record.done for record in run.records)
        numbers = [cell(run.summary, name) for name in columns]
        name = escape(str(run.folder.resolve().relative_to(above)))
        found.add_row(name, run.time[5:], state, f"{done}/{len(run.records)}", *numbers, escape(told_apart[place]))
    return found
