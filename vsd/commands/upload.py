"""Sends finished runs to Weights & Biases, again or for the first time: ``vsd upload FOLDER ...``

A folder stands for all runs in it and below it; shards of a run are sent as one. They are made of their own files
(samples.jsonl, config.yaml, provenance.json), so it does not matter how they were logged, or whether. A run keeps its
id: what is there already is written over. Examples:

  vsd upload outputs/RUN                                a run that was decoded with logger=none, or offline
  vsd upload outputs/SWEEP --project pruning            a whole sweep, into another project
  vsd upload outputs/SHARD_0 outputs/SHARD_1            the shards of one run

Without a login, or with WANDB_MODE=offline, it writes files for `wandb sync` into wandb/ of each run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vsd.run import provenance
from vsd.run.processes import is_alive
from vsd.run.report.printable import plain
from vsd.run.results.cells import STATES
from vsd.run.results.pool import pooled
from vsd.run.results.run import Run, find_runs
from vsd.run.tracking import login
from vsd.run.tracking.replay import replayed
from vsd.run.tracking.tracker import MEDIA
from vsd.utils.validation import require, require_whole


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line a run. 2 for a folder that holds no run, 1 if one could not be sent."""
    parser = argparse.ArgumentParser(
        prog="vsd upload", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--project", metavar="NAME", help="default: as the run was configured, else vsd")
    parser.add_argument("--entity", metavar="NAME", help="a user or team; default: yours")
    parser.add_argument(
        "--media", type=int, default=MEDIA, metavar="N", help=f"samples with pictures (default: {MEDIA})"
    )
    args = parser.parse_args(argv)
    try:
        for name in ("project", "entity"):
            value = getattr(args, name)
            require(f"--{name}", "a text", value, value is None or bool(value.strip()))
        require_whole("--media", args.media, least=0)
        runs = pooled(find_runs(args.folders))
        require("WANDB_MODE", "online or offline where something is to be sent", "disabled", login.mode() != "disabled")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return _send(runs, args.project, args.entity, args.media)


def _send(runs: Sequence[Run], project: str | None, entity: str | None, media: int) -> int:
    """Every run, with a bar over all of them. Exit code."""
    console, failed = Console(soft_wrap=True), 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=len(runs) < 2) as bar:
        task = bar.add_task("runs", total=len(runs))
        for run in runs:
            name = plain(str(run.folder))
            if _at_work(run):
                console.print(f"{name}  [yellow]left out[/], it is still at work")
            elif not run.records:
                why = f": {plain(run.error)}" if run.error else ""
                console.print(f"{name}  [yellow]left out[/], {run.state} without a sample{why}")
            else:
                sent = replayed(run, project=project, entity=entity, media=media)
                failed += sent.lost
                state = f"[{STATES[run.state]}]{run.state}[/], {len(run.records)} samples"
                written = f"[yellow]written, not sent[/] ({sent.why_offline}): {escape(sent.brief)}"
                said = written if sent.why_offline else f"sent: {escape(sent.brief)}"
                console.print(f"{name}  " + ("[red]not sent[/]" if sent.lost else f"{state}, {said}"))
            bar.advance(task)
    return 1 if failed else 0


def _at_work(run: Run) -> bool:
    """Whether a job of it still runs on this machine; of another one nobody knows."""
    return any(is_alive(job) for job in provenance.jobs_of(run.provenance) if not job.get("outcome"))


if __name__ == "__main__":
    sys.exit(main())
