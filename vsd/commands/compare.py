"""Do runs differ, and which way? ``vsd compare FIRST OTHER [OTHER ...]``

Differences on the samples that both runs have finished, with the standard error of drawing the videos anew, of both
runs at once. Speeds are compared as ratios. "not told apart": chance explains the difference (95%). Examples:

  vsd compare outputs/naive outputs/hippo
  vsd compare outputs/sweep/0 outputs/sweep/1 outputs/sweep/2 --metrics speed/decode accept/length
  vsd compare outputs/ablation/0 outputs/ablation --table       one table, a line a run
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vsd.run.results import against
from vsd.run.results.against import COLOURS, by_text, error_text
from vsd.run.results.cells import HEADLINE, check_metrics, heading, headline_of, written
from vsd.run.results.comparison import Difference, common, compared, interval
from vsd.run.results.dials import varying
from vsd.run.results.fitted import Fitted
from vsd.run.results.run import Run, find_runs, load_run

METRICS = (
    "exact/mismatched",
    "speed/decode",
    "speed/end_to_end",
    "speed/ttft",
    "speed/tokens_per_s",
    "speed/baseline_tokens_per_s",
    "accept/length",
    "accept/draft_length",
    "accept/rate",
    "prune/kept",
    "parallel/wasted",
    "quality/retention",
    "quality/agreement",
)
COLUMNS = ("difference", "verdict", "95% interval")


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a table for each pair; 2 for a folder without a run, a name of no metric, and runs without a sample in
    common."""
    parser = argparse.ArgumentParser(
        prog="vsd compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path, metavar="FIRST", help="a run's folder, which the others are held against")
    parser.add_argument(
        "others", nargs="+", type=Path, metavar="OTHER", help="runs, or folders of runs such as a sweep's"
    )
    parser.add_argument("--metrics", nargs="+", default=[], metavar="METRIC", help="of metrics.json")
    parser.add_argument("--table", action="store_true", help="one table of all runs, in place of one for each pair")
    args = parser.parse_args(argv)
    console = Console()
    try:
        check_metrics("--metrics", args.metrics)
        first = load_run(args.first)
        others = [run for run in find_runs(args.others) if run.folder.resolve() != args.first.resolve()]
        if args.table:
            console.print(_one_table(first, others, args.metrics))
            said = [warning for other in others for warning in warnings(first, other)]
            console.print(*dict.fromkeys(said), sep="\n", end="\n" if said else "")
            return 0
        for other in others:
            _check_common(first, other)
            made = partial(table, first, other, compared(first, other, args.metrics or METRICS))
            console.print(Fitted(make=made, columns=COLUMNS, least=2), *warnings(first, other), sep="\n")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _check_common(first: Run, other: Run) -> None:
    """Raise ValueError where there is nothing to compare."""
    if not common(first, other)[0]:
        raise ValueError(f"OTHER: must have a sample in common with FIRST, got {str(other.folder)!r}")


def _one_table(first: Run, others: Sequence[Run], metrics: Sequence[str]) -> Fitted:
    """Jobs that failed are left out, where another one is there."""
    finished = [other for other in others if common(first, other)[0]]
    if not finished:
        _check_common(first, others[0] if others else first)
        raise ValueError(f"OTHER: must be another run than FIRST, got {str(first.folder)!r}")
    asked = headline_of([first, *finished])
    names = [name for name in against.METRICS if name not in HEADLINE or name in asked]
    return against.against(first, finished, metrics or names)


def table(first: Run, other: Run, differences: Sequence[Difference], columns: Sequence[str] = COLUMNS) -> Table:
    """A line a metric, under what differs between the two runs' settings."""
    samples, dials = len(common(first, other)[0]), varying([first, other])
    settings = [f"{escape(name)}: {escape(written(a))} → {escape(written(b))}" for name, (a, b) in dials.items()]
    title = f"{escape(str(first.folder))} → {escape(str(other.folder))}, {samples} samples in common"
    found = Table(title="\n".join([title, *settings]), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    found.add_column("metric", no_wrap=True)
    for name in ("first", "other", *columns):
        found.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    for each in differences:
        metric, colour = each.metric, COLOURS.get(each.verdict, "dim")
        by, error = by_text(each, each.by.value), error_text(each)
        ends = interval(each.by, each.videos) if error else ()
        said = " to ".join(by_text(each, value) for value in ends) or "–"
        values = (metric.written(each.first), metric.written(each.second))
        cells = {"difference": f"{by}{error}", "verdict": f"[{colour}]{each.verdict}[/]", "95% interval": said}
        found.add_row(heading(metric.name), *values, *(cells[name] for name in columns))
    return found


def warnings(first: Run, other: Run) -> Iterator[str]:
    """What else differs, so that times may not be compared."""
    for name, what in (("hardware", "machines"), ("packages", "versions")):
        ours, theirs = (run.provenance.get(name) or {} for run in (first, other))
        names = sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
        if names:
            parts = ", ".join(f"{key} {ours.get(key)} and {theirs.get(key)}" for key in names[:3])
            yield f"[yellow]warning[/]  measured on other {what}: {escape(parts)}"
    if first.time[:10] != other.time[:10]:
        days = f"{first.time[:10]} and {other.time[:10]}"
        yield f"[yellow]warning[/]  measured on {days}: speeds can be compared of one hour of one machine alone"
