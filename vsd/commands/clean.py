"""Removes what no number comes from: ``vsd clean [FOLDER ...]``

Runs that were refused, failed or given up before a sample was finished, and files that were left half written. It
lists them; with --yes it removes them. A folder that holds a finished sample is never touched. Examples:

  vsd clean                              what could go, below outputs/
  vsd clean outputs/2026-11-26 --yes     remove it
  vsd clean --older-than 168             only what is a week old
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vsd.run.report.printable import printable
from vsd.run.results.run import Run, find_runs
from vsd.utils.validation import require_number

HOUR_S = 3600.0
_LONGEST = 100  # characters of a reason


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A file or folder that can go, why, and how many bytes it takes."""

    path: Path
    reason: str
    size: int


def main(argv: Sequence[str] | None = None) -> int:
    """Lists or removes; 2 for a folder that is not there, 1 if something could not be removed."""
    parser = argparse.ArgumentParser(
        prog="vsd clean", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("outputs")], metavar="FOLDER")
    parser.add_argument("--older-than", type=float, default=1.0, metavar="HOURS", help="of what may be at work still")
    parser.add_argument("--yes", action="store_true", help="remove it")
    args = parser.parse_args(argv)
    try:
        require_number("--older-than", args.older_than, least=0)
        found = leftovers(args.folders, before=time.time() - HOUR_S * args.older_than)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    Console().print(table(found) if found else "nothing to remove")
    if not args.yes:
        print("nothing was removed; --yes removes it" if found else "", end="\n" if found else "")
        return 0
    return max((_remove(each) for each in found), default=0)


def leftovers(folders: Sequence[Path], *, before: float) -> list[Leftover]:
    """What can go of these folders and last changed `before` this moment. Raises ValueError for one that is no
    folder."""
    found = dict[Path, Leftover]()
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"FOLDER: must be a folder, got {str(folder)!r}")
        for each in (*_runs(folder), *_parts(folder)):
            if _changed(each.path) <= before and not any(path in found for path in each.path.parents):
                found[each.path] = each
    return list(found.values())


def _runs(folder: Path) -> Iterator[Leftover]:
    """Run folders without a finished sample, under any config."""
    try:
        runs = find_runs([folder])
    except ValueError:  # there is none
        return
    for run in runs:
        if run.state != "done" and not _holds_samples(run.folder):
            yield Leftover(path=run.folder, reason=_reason(run), size=_size(run.folder))


def _holds_samples(folder: Path) -> bool:
    """Whether a line was written for a finished sample, by any config or version: what cannot be read is somebody's."""
    file = folder / "samples.jsonl"
    if not file.is_file():
        return False
    with file.open("rb") as lines:
        return any(line.strip() and b'"trace": null' not in line for line in lines)


def _reason(run: Run) -> str:
    said = printable(" ".join(run.error.split())) or "no sample was finished"
    return f"{run.state}: {said if len(said) <= _LONGEST else said[:_LONGEST] + '...'}"


def _parts(folder: Path) -> Iterator[Leftover]:
    """Files that a killed job or a full disk left half written (see `vsd.run.disk.write_whole`)."""
    for file in sorted(folder.rglob("*.part")):
        if file.is_file():
            yield Leftover(path=file, reason="half written", size=file.stat().st_size)


def _changed(path: Path) -> float:
    """When something in it last changed."""
    inside: Iterable[Path] = path.rglob("*") if path.is_dir() else ()
    return max(each.lstat().st_mtime for each in (path, *inside))


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())


def table(found: Sequence[Leftover]) -> Table:
    """A line each, and how much it is in all."""
    lines = Table(box=SIMPLE_HEAD, pad_edge=False, show_footer=True)
    lines.add_column("can go", footer=f"{len(found)} in all", overflow="fold")
    lines.add_column("why", overflow="fold")
    lines.add_column("kB", footer=f"{sum(each.size for each in found) / 1e3:,.0f}", justify="right", no_wrap=True)
    for each in found:
        lines.add_row(escape(printable(str(each.path))), escape(each.reason), f"{each.size / 1e3:,.0f}")
    return lines


def _remove(each: Leftover) -> int:
    """Exit code."""
    try:
        if each.path.is_dir():
            shutil.rmtree(each.path)
        else:
            each.path.unlink()
    except OSError as error:
        print(f"error: {each.path}: must be removed, got {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
