"""Finished runs' numbers again, without decoding: ``vsd report FOLDER [FOLDER ...]``

Of one run its screen; of several, or of a multirun's folder, one table. Shards of a run are put together, from one
folder or several. With --html a page instead: one file with numbers, pictures, samples with their clips, failures, and
what repeats it, which needs no network and reads on a phone. Examples:

  vsd report outputs/RUN
  vsd report outputs/SWEEP --columns speed/decode accept/draft_length
  vsd report outputs/SWEEP --format latex > table.tex
  vsd report outputs/SWEEP --html                      the page outputs/SWEEP/report.html
  vsd report outputs/A outputs/B --html both.html --samples 12
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.console import Console

from vsd.run import disk
from vsd.run.html.choice import SAMPLES
from vsd.run.report import sweep, terminal
from vsd.run.report.folder import last_run
from vsd.run.report.printable import printable
from vsd.run.results import table
from vsd.run.results.cells import HEADLINE, check_metrics, headline_of
from vsd.run.results.pool import pooled
from vsd.run.results.run import Run, common_folder, find_runs
from vsd.utils.validation import require_whole


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the screen or the table, and rewrites the metrics.json of each run from all samples of its last config; or
    writes the page, which changes nothing else, and prints where. 2 for a folder that holds no run, or none that this
    version can read, and for what cannot be written."""
    parser = argparse.ArgumentParser(
        prog="vsd report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--full", action="store_true", help="more numbers of a run")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=table.FORMATS, help="a table for a file, in place of the screen")
    form.add_argument(
        "--html",
        nargs="?",
        const="",
        metavar="FILE",
        help="a page instead; default: FOLDER/report.html",
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=SAMPLES,
        metavar="N",
        help=f"of a page, at most (default: {SAMPLES})",
    )
    parser.add_argument(
        "--columns", nargs="+", metavar="METRIC", help=f"of metrics.json (default: {', '.join(HEADLINE)})"
    )
    args = parser.parse_args(argv)
    try:
        check_metrics("--columns", args.columns or ())
        require_whole("--samples", args.samples, least=0)
        if args.html is not None:
            print(printable(str(_write_page(args.folders, args.html, args.columns, args.samples))))
            return 0
        found = find_runs(args.folders)
        for run in found:
            _rewrite(run, alone=len(found) == 1)
        runs = pooled(found)
    except (ValueError, disk.CannotWrite) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    columns = args.columns or headline_of(runs)
    if args.format:
        print(table.text(table.table_of(runs, columns), args.format), end="")
    elif len(runs) == 1:
        _screen(runs[0], found[0].folder if len(found) == 1 else common_folder(found), full=args.full)
    else:
        console = Console()
        console.print(table.rich(table.table_of(runs, columns)), *sweep.below(runs), sep="\n")
    return 0


def _write_page(folders: Sequence[Path], html: str, columns: Sequence[str] | None, samples: int) -> Path:
    """The page of these folders; its file. Raises ValueError for folders without runs, CannotWrite for a file that
    cannot be written."""
    from vsd.run.html.page import page  # the other forms need neither its template nor pictures

    if not html and len(folders) > 1:
        raise ValueError(f"--html: must name a FILE where several folders are given, got {len(folders)} folders")
    file = Path(html) if html else folders[0] / "report.html"
    if file.is_dir():
        raise ValueError(f"--html: must be a file, got the folder {str(file)!r}")
    runs = pooled(find_runs(folders))
    text = page(runs, columns=columns or headline_of(runs), count=samples)
    with disk.writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    disk.write_whole(file, text)
    return file


def _rewrite(run: Run, *, alone: bool) -> None:
    """Its numbers. Raises ValueError for a run `alone` whose samples are of another version."""
    if run.records:
        last_run(run.folder)[0].write_metrics(run.summary.flat())
    elif alone and (run.folder / "samples.jsonl").is_file():  # its metrics.json stays: nothing here could make it again
        raise ValueError(f"FOLDER: must hold a sample that this version can read, got {str(run.folder)!r}")


def _screen(run: Run, folder: Path, *, full: bool) -> None:
    if run.records and "verifier" in run.config:
        verifier = instantiate(OmegaConf.create(dict(run.config["verifier"])))
        terminal.show(run.records, run.summary, folder, verifier=verifier, full=full)
    for line in table.troubles([run]):
        Console().print(line)


if __name__ == "__main__":
    sys.exit(main())
