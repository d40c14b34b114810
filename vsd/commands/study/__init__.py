"""A search for the best settings by Optuna.

``vsd study --maximize METRIC [--maximize METRIC] OVERRIDE ...``

The overrides are run.py's, and Hydra's sweep syntax says what is searched: ``pruner=random,hippo`` (one of these),
``gamma=range(1,11)`` (a whole number from 1 to 10), ``ratio=interval(0.5,0.99)`` (any number between), each of the last
two on a logarithmic scale inside ``tag(log,...)``. Of an experiment that brings values to sweep
(``experiment=sweep/looseness``) these are searched, but for dials that the command line sets. With two objectives the
result is a Pareto front.

Every trial is a run folder below FOLDER, named by its settings, and the study itself is FOLDER/study.journal: the same
command goes on where it stopped, and several at once, on machines that share FOLDER, work at the same study: each ends
when no trial is left to begin, the last one with the whole front. For a trial that was killed another one is begun; one
that was interrupted with Ctrl-C is begun anew.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.errors import HydraException
from rich.console import Console
from rich.markup import escape

from vsd.commands.study.pictures import draw
from vsd.commands.study.result import best, front, write_csv
from vsd.commands.study.space import searched, with_experiment
from vsd.commands.study.trials import Goals, check_identity, opened, running, search
from vsd.metrics import metric_of
from vsd.run import app, disk
from vsd.utils.validation import reason

if TYPE_CHECKING:
    from optuna.study import Study

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs trials until the study has as many as asked for, then prints its front. Exit codes: 0 done, 1 no trial could
    be finished, 2 refused, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="vsd study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maximize", action="append", default=[], metavar="METRIC", help="of metrics.json")
    parser.add_argument("--minimize", action="append", default=[], metavar="METRIC", help="of metrics.json")
    parser.add_argument("--trials", type=int, default=20, help="of the whole study, earlier ones included")
    parser.add_argument("--folder", type=Path, default=Path("outputs/study"))
    parser.add_argument("--seed", type=int, help="of the search")
    parser.add_argument("overrides", nargs="+", metavar="OVERRIDE")
    args = parser.parse_intermixed_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    goals = [(name, "maximize") for name in args.maximize] + [(name, "minimize") for name in args.minimize]
    try:
        check(args, goals)
        args.overrides = with_experiment(args.overrides)
        space = searched(args.overrides)
        study = opened(args.folder, goals)
        check_identity(study, args.folder, goals, args.overrides)
    except (app.UsageError, HydraException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        with disk.room(args.folder):
            try:
                search(study, space, args.folder, goals, args.overrides, trials=args.trials, seed=args.seed)
            finally:
                write_csv(study, goals, args.folder / "trials.csv")
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on", file=sys.stderr)
        return 130
    except (app.UsageError, HydraException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except disk.CannotWrite as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console = Console()
    console.print(front(study, goals))
    for line in best(study, goals, args.folder, args.overrides):
        console.print(line, soft_wrap=True)  # a command is copied as one line
    console.print(_files(args.folder / "trials.csv", *_drawn(study, goals, args.folder)), soft_wrap=True)
    if others := running(study, args.folder):
        log.info("%d of the trials are still at work in other processes", len(others))
    return 0 if study.best_trials or others else 1


def _drawn(study: Study, goals: Goals, folder: Path) -> list[Path]:
    """The pictures; none where they cannot be made, which takes nothing from what was found."""
    try:
        return draw(study, goals, folder)
    except Exception as error:
        log.warning("the pictures are left out: %s", reason(error))
        return []


def _files(*files: Path) -> str:
    return f"[dim]files[/]  {escape(', '.join(map(str, files)))}"


def check(args: argparse.Namespace, goals: Goals) -> None:
    """UsageError for goals and numbers that no study can have."""
    names = [name for name, _ in goals]
    rules = (
        ("--maximize", "must name a metric of metrics.json", names, bool(names)),
        ("--maximize, --minimize", "must name each metric once", names, len(set(names)) == len(names)),
        ("--trials", "must be at least 1", args.trials, args.trials >= 1),
        ("--seed", "must be at least 0", args.seed, args.seed is None or args.seed >= 0),
        ("--folder", "must be a folder", str(args.folder), not args.folder.exists() or args.folder.is_dir()),
    )
    for field, rule, value, holds in rules:
        if not holds:
            raise app.UsageError(f"{field}: {rule}, got {value!r}")
    for name in names:
        if metric_of(name) is None:
            raise app.UsageError(f"--maximize, --minimize: must be a metric of metrics.json, got {name!r}")


if __name__ == "__main__":
    sys.exit(main())
