"""Removes what no number comes from: ``vsd clean [FOLDER ...]``

Runs that were refused, failed or given up before any sample was finished, files that were left half written in run
folders, and copies of code that no job of a sweep will run any more. It lists them; with --yes it removes them. What
holds a finished sample, another run or a file that vsd has not written stays, and so do a sweep's jobs, links, and
whatever may be at work. Examples:

  vsd clean                              what could go, below outputs/
  vsd clean outputs/2026-11-26 --yes     remove it
  vsd clean --older-than 24              of jobs that were killed, only what is older than a day
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vsd.run import provenance
from vsd.run.cluster import snapshot
from vsd.run.cluster.unused import unused as unused_of
from vsd.run.processes import is_alive
from vsd.run.report.printable import printable
from vsd.run.schema import SCHEMA
from vsd.utils.validation import require_number

HOUR_S = 3600.0
_OURS = frozenset(
    {"provenance.json", "config.yaml", "samples.jsonl", "metrics.json", "error.txt", "report.html", "run.log"}
    | {f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides")}
)
_PART = re.compile(r".*\.[0-9a-f]{12}\.part")  # see `vsd.run.disk.write_whole`
_SWEEP = ("multirun.yaml", "summary.csv", "study.journal")
_LONGEST = 100  # characters of a reason


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Files that can go, with the folder that is then empty if one is, why, and how many bytes that is."""

    path: Path
    files: tuple[Path, ...]
    reason: str
    size: int


def main(argv: Sequence[str] | None = None) -> int:
    """Lists or removes; 2 for a folder that is not there, 1 if something could not be removed."""
    parser = argparse.ArgumentParser(
        prog="vsd clean", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("outputs")], metavar="FOLDER")
    parser.add_argument(
        "--older-than",
        type=float,
        default=1.0,
        metavar="HOURS",
        help="of a job whose end is not known, since it changed (default 1)",
    )
    parser.add_argument("--yes", action="store_true", help="remove it")
    args = parser.parse_args(argv)
    try:
        require_number("--older-than", args.older_than, least=0)
        found = leftovers(args.folders, before=time.time() - HOUR_S * args.older_than)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    Console().print(table(found) if found else "nothing to remove")
    if found and not args.yes:
        print("nothing was removed; --yes removes it")
    return max((_remove(each) for each in found if args.yes), default=0)


def leftovers(folders: Sequence[Path], *, before: float) -> list[Leftover]:
    """What can go below these folders; where nobody has said that a job has ended, only what has not changed since
    `before`. Raises ValueError for what is no folder."""
    found = dict[Path, Leftover]()
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"FOLDER: must be a folder, got {str(folder)!r}")
        for run in _run_folders(folder):
            each = _whole(run, before) if run != folder else None
            for one in [each] if each else _parts(run, before):
                found.setdefault(one.path.resolve(), one)
        for one in _snapshots(folder, before):
            found.setdefault(one.path.resolve(), one)
    return list(found.values())


def _run_folders(folder: Path) -> Iterator[Path]:
    """The folders in which a job of this version has begun; links are not followed."""
    for path, inside, files in os.walk(folder):
        inside.sort()
        if provenance.FILE in files and provenance.read(Path(path)).get("schema") == SCHEMA:
            yield Path(path)


def _whole(run: Path, before: float) -> Leftover | None:
    """A run folder that can go as it is."""
    files = _files(run)
    names = {file.relative_to(run).as_posix() for file in files}
    told = provenance.read(run)
    stays = (
        any(name not in _OURS and not _PART.fullmatch(name) for name in names)
        or any((run.parent / name).exists() for name in _SWEEP)
        or _finished(run / "samples.jsonl")
        or any(job.get("outcome") is None and _at_work(job) for job in provenance.jobs_of(told))
    )
    ended = all(job.get("outcome") for job in provenance.jobs_of(told))
    if stays or (not ended and _changed([*files, run]) > before):
        return None
    return Leftover(path=run, files=files, reason=_reason(run, told), size=_size(files))


def _links(path: str, inside: Sequence[str]) -> list[str]:
    return [name for name in inside if (Path(path) / name).is_symlink()]


def _finished(samples: Path) -> bool:
    """Whether a line was written for a finished sample, under any config and by any version; what cannot be read may be
    one."""
    if not samples.exists():
        return False
    try:
        rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines() if line.strip()]
        return any(row["trace"] is not None for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        return True


def _at_work(job: dict[str, object]) -> bool:
    """Whether a job that has not ended may still be there: its process is alive, or is another machine's."""
    return is_alive(job) is not False


def _reason(run: Path, told: dict[str, object]) -> str:
    error = run / "error.txt"
    said = error.read_text(encoding="utf-8", errors="replace") if error.is_file() else ""
    said = printable(" ".join(said.partition("\n\n")[0].split())) or "no sample was finished"  # behind: a traceback
    return f"{told.get('outcome', 'unfinished')}: {said if len(said) <= _LONGEST else said[:_LONGEST] + '...'}"


def _parts(run: Path, before: float) -> Iterator[Leftover]:
    """Files of a run that stays which a killed job or a full disk left half written."""
    for file in sorted(run.iterdir()):
        if _PART.fullmatch(file.name) and file.is_file() and _changed([file]) <= before:
            yield Leftover(path=file, files=(file,), reason="half written", size=_size([file]))


def _snapshots(folder: Path, before: float) -> Iterator[Leftover]:
    """Copies of code below it that no job will run."""
    for path, inside, _ in os.walk(folder):
        if snapshot.FOLDER in inside:
            inside.remove(snapshot.FOLDER)
            for unused in unused_of(Path(path)):
                if _changed([unused]) <= before:
                    files = _files(unused)
                    yield Leftover(path=unused, files=files, reason="code that no job will run", size=_size(files))


def _files(folder: Path) -> tuple[Path, ...]:
    """All files in it and below, links to folders among them."""
    return tuple(
        Path(path) / name for path, inside, names in os.walk(folder) for name in (*names, *_links(path, inside))
    )


def _changed(paths: Sequence[Path]) -> float:
    """When one of them last changed; now, for one that vanishes meanwhile."""
    try:
        return max(path.lstat().st_mtime for path in paths)
    except OSError:
        return time.time()


def _size(files: Sequence[Path]) -> int:
    return sum(file.lstat().st_size for file in files)


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
    """File by file, so that nothing goes that was not listed; then the empty folders. Exit code."""
    try:
        for file in each.files:
            file.unlink(missing_ok=True)
        if each.path.is_dir():
            for path, _, _ in os.walk(each.path, topdown=False):
                Path(path).rmdir()
    except OSError as error:
        print(f"error: {each.path}: must be removed, got {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
