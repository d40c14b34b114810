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

_FOLDER, _WORD = (
    12,
    30,
)  # letters of a run's folder, and of a word of what tells it apart, that a narrow terminal leaves
_WHEN, _SPEED = "when", "speed/decode"
_TOLD_APART = "what tells it apart"


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
    columns = args.columns or headline_of(runs)
    columns = [*dict.fromkeys([*columns, *([] if args.sort == "time" else [args.sort])])]
    Console().print(Fitted(make=partial(table, runs, columns), columns=by_need(columns, args.sort)))
    return 0


def by_need(metrics: Sequence[str], by: str) -> list[str]:
    """The heads of the columns, those first that a narrow terminal keeps: what the runs are in order of, speed, and the
    time last but one, since folders are named by it."""
    first = dict.fromkeys([*([] if by == "time" else [by]), *(name for name in metrics if name == _SPEED), *metrics])
    heads = [heading(name) for name in first]
    return [*heads[:2], _WHEN, *heads[2:]]


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


def table(runs: Sequence[Run], metrics: Sequence[str], heads: Sequence[str]) -> Table:
    """A line a run; of the time and the metrics those with these heads, in the metrics' order."""
    above = common_folder(runs)
    found = Table(
        title=escape(str(above)), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    short = {heading(name): name for name in metrics}
    names = [name for head, name in short.items() if head in heads]
    told_apart = settings(runs)
    longest = max((len(word) for each in told_apart for word in each.split()), default=0)
    found.add_column("run", overflow="fold", min_width=_FOLDER)
    if _WHEN in heads:
        found.add_column(_WHEN, no_wrap=True)
    found.add_column("state", no_wrap=True)
    found.add_column("done", justify="right", no_wrap=True)
    for name in names:
        found.add_column(heading(name), justify="right", no_wrap=True)
    found.add_column(_TOLD_APART, overflow="fold", min_width=max(len(_TOLD_APART), min(longest, _WORD)))
    for place, run in enumerate(runs):
        state = f"[{STATES[run.state]}]{run.state}[/]"
        done = f"{sum(record.done for record in run.records)}/{'?' if run.asked is None else run.asked}"
        numbers = [cell(run.summary, name) for name in names]
        name = escape(str(run.folder.resolve().relative_to(above)))
        when = [run.time[5:]] if _WHEN in heads else []
        found.add_row(name, *when, state, done, *numbers, escape(told_apart[place]))
    return found
