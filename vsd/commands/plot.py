"""Curves over a sweep: ``vsd plot FOLDER --x DIAL --y METRIC[,METRIC] [--by DIAL]``

One line for each value of --by, one panel for each metric and each value of --facet, bars of one standard error. The x
axis is a dial, or a metric: speed against quality is a plot of two metrics. Examples:

  vsd plot outputs/sweep --x ratio --y accept/draft_length,speed/decode --by pruner
  vsd plot outputs/lvspec --x accept/length --y quality/retention --by verifier --out front.pdf
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsd.metrics import Summary, metric_of
from vsd.run.results.cells import written
from vsd.run.results.dials import dials_of, varying
from vsd.run.results.pool import pooled
from vsd.run.results.run import Run, find_runs
from vsd.utils.validation import is_number

_SIZE = (4.2, 3.2)  # inches of a panel
_MARKERS = "osD^vP*X<>"


@dataclass(frozen=True, kw_only=True)
class Point:
    """A run's place on an axis, and half the length of its bar; text where a dial is none of numbers."""

    at: Any
    error: float = 0.0


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the figure and says where; 2 for a folder without runs and for what no run has."""
    parser = argparse.ArgumentParser(
        prog="vsd plot", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--x", required=True, metavar="DIAL", help="or a metric")
    parser.add_argument("--y", required=True, metavar="METRIC,...", help="one panel each")
    parser.add_argument("--by", metavar="DIAL", help="one line each; default: what else differs")
    parser.add_argument("--facet", metavar="DIAL", help="one column of panels each")
    parser.add_argument("--log", choices=("x", "y", "both"), help="logarithmic axes")
    parser.add_argument("--out", type=Path, help="FILE.png, .svg or .pdf; default: FOLDER/X-Y.svg")
    args = parser.parse_args(argv)
    try:
        runs = [run for run in pooled(find_runs(args.folders)) if run.summary.values.get("samples/done")]
        file = args.out or args.folders[0] / f"{_word(args.x)}-{_word(args.y)}.svg"
        figure = draw(runs, x=args.x, ys=args.y.split(","), by=args.by, facet=args.facet, log=args.log)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file)
    except (OSError, ValueError) as error:
        print(f"error: --out: must be a file that can be written, got {str(file)!r} ({error})", file=sys.stderr)
        return 2
    print(file)
    return 0


def draw(
    runs: Sequence[Run],
    *,
    x: str,
    ys: Sequence[str],
    by: str | None = None,
    facet: str | None = None,
    log: str | None = None,
) -> Any:
    """The figure (matplotlib's). Raises ValueError for what no run has."""
    from matplotlib.figure import Figure

    for name in ys:
        if metric_of(name) is None:
            raise ValueError(f"--y: must be a metric (docs/metrics.md), got {name!r}")
    if not runs:
        raise ValueError("FOLDER: must hold a run with samples, got none")
    for name in ys:
        if not any(name in run.summary.values for run in runs):
            raise ValueError(f"--y: must be a metric that one of these runs has, got {name!r}")
    tables = [dials_of(run) for run in runs]
    for option, dial in (("x", x), ("by", by), ("facet", facet)):
        is_metric = option == "x" and metric_of(x) is not None
        if dial and not is_metric and not any(dial in table for table in tables):
            raise ValueError(f"--{option}: must be a dial of these runs, got {dial!r}")
    panels = _groups(runs, [facet] if facet else [])
    figure = Figure(figsize=(_SIZE[0] * len(panels), _SIZE[1] * len(ys)), layout="constrained")
    axes = figure.subplots(len(ys), len(panels), squeeze=False, sharex=True)
    lines = [by] if by else [name for name in varying(runs) if name not in (x, facet)]
    labels = {label: number for number, label in enumerate(_groups(runs, lines))}
    for column, (title, inside) in enumerate(panels.items()):
        for row, name in enumerate(ys):
            axis = axes[row][column]
            _panel(axis, _groups(inside, lines), x, name, labels)
            axis.set_title(title if not row else "")
            _label(axis, x if row == len(ys) - 1 else "", name if not column else "")
            if log:
                axis.set(**{f"{which}scale": "log" for which in ("x", "y") if log in (which, "both")})
    drawn = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if any(drawn):
        axes[0][-1].legend(drawn.values(), drawn.keys(), fontsize="small", frameon=False)
    return figure


def _panel(axis: Any, groups: Mapping[str, Sequence[Run]], x: str, y: str, labels: Mapping[str, int]) -> None:
    """The lines of one panel; a label has its colour and marker in all of them."""
    for label, runs in groups.items():
        number = labels[label]
        points = [(_point(run, x), _point(run, y)) for run in runs]
        known = [(a, b) for a, b in points if a is not None and b is not None]
        if all(is_number(a.at) for a, _ in known):
            known.sort(key=lambda pair: pair[0].at)
        axis.errorbar(
            [a.at if is_number(a.at) else written(a.at) for a, _ in known],
            [b.at for _, b in known],
            xerr=[a.error for a, _ in known] if any(a.error for a, _ in known) else None,
            yerr=[b.error for _, b in known],
            label=label or None,
            color=f"C{number % 10}",
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=4,
            linewidth=1.2,
            capsize=2,
        )


def _point(run: Run, name: str) -> Point | None:
    """Where a run stands: its metric, or its dial."""
    if metric_of(name) is not None:
        return _measured(run.summary, name)
    value = dials_of(run).get(name)
    return None if value is None else Point(at=value)


def _measured(summary: Summary, name: str) -> Point | None:
    value = summary.values.get(name)
    return None if value is None else Point(at=value, error=summary.errors.get(name, 0.0))


def _groups(runs: Sequence[Run], names: Sequence[str]) -> dict[str, list[Run]]:
    """The runs by the values of these dials, in the order in which they come."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        dials = dials_of(run)
        found[", ".join(written(dials.get(name, "–")) for name in names)].append(run)
    return found


def _label(axis: Any, x: str, y: str) -> None:
    for name, put in ((x, axis.set_xlabel), (y, axis.set_ylabel)):
        metric = metric_of(name) if name else None
        put(f"{metric.label}\n({name})" if metric else name, fontsize="small")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)


def _word(name: str) -> str:
    return name.replace("/", "_").replace(",", "-").replace(".", "_")
