"""Do runs differ, and which way? ``vsd compare FIRST OTHER [OTHER ...]``

Differences on the samples that both runs have finished, with the standard error of drawing the videos anew, of both
runs at once. Speeds are compared as ratios. "not told apart": chance explains the difference (95%). Examples:

  vsd compare outputs/naive outputs/hippo
  vsd compare outputs/sweep/0 outputs/sweep/1 outputs/sweep/2 --metrics speed/decode accept/length
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vsd.run.results.cells import check_metrics, heading, written
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
_COLOURS = {"better": "green", "worse": "red", "higher": "yellow", "lower": "yellow"}


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
    parser.add_argument("--metrics", nargs="+", default=[*METRICS], metavar="METRIC", help="of metrics.json")
    args = parser.parse_args(argv)
    console = Console()
    try:
        check_metrics("--metrics", args.metrics)
        first = load_run(args.first)
        for other in (run for run in find_runs(args.others) if run.folder.resolve() != args.first.resolve()):
            if not common(first, other)[0]:
                raise ValueError(f"OTHER: must have a sample in common with FIRST, got {str(other.folder)!r}")
            made = partial(table, first, other, compared(first, other, args.metrics))
            console.print(Fitted(make=made, columns=COLUMNS, least=2), *warnings(first, other), sep="\n")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


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
        metric, colour = each.metric, _COLOURS.get(each.verdict, "dim")
        by, error = _by(each, each.by.value), _error(each)
        ends = interval(each.by, each.videos) if error else ()
        said = " to ".join(_by(each, value) for value in ends) or "–"
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


def _by(each: Difference, value: float) -> str:
    return (
        f"{max(0.0, value):.3f}x" if each.as_ratio else f"{'+' if value >= 0 else '−'}{each.metric.written(abs(value))}"
    )


def _error(each: Difference) -> str:
    if math.isnan(each.by.error):
        return ""
    return f" ± {each.by.error:.3f}" if each.as_ratio else f" ± {each.metric.written(each.by.error)}"
