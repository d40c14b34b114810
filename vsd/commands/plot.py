"""Curves over a sweep: ``vsd plot FOLDER --x DIAL --y METRIC[,METRIC] [--by DIAL]``

One line for each value of --by, one panel for each metric and each value of --facet, bars of one standard error. The x
axis is a dial, or a metric: speed against quality is a plot of two metrics. Examples:

  vsd plot outputs/sweep --x ratio --y accept/draft_length,speed/decode --by pruner
  vsd plot outputs/lvspec --x accept/length --y quality/retention --by verifier --out front.pdf
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vsd.run.results.curves import draw
from vsd.run.results.pool import pooled
from vsd.run.results.run import find_runs


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


def _word(name: str) -> str:
    return name.replace("/", "_").replace(",", "-").replace(".", "_")
