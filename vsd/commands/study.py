"""A search for the best settings by Optuna.

``vsd study --maximize METRIC [--maximize METRIC] OVERRIDE ...``

The overrides are run.py's, and Hydra's sweep syntax says what is searched: ``pruner=random,hippo`` (one of these),
``gamma=range(1,11)`` (a whole number from 1 to 10), ``ratio=interval(0.5,0.99)`` (any number between), each of the last
two on a logarithmic scale inside ``tag(log,...)``. With two objectives the result is a Pareto front.

Every trial is a run folder below FOLDER, named by its settings, and the study itself is FOLDER/study.journal: the same
command goes on where it stopped, and several at once, on machines that share FOLDER, work at the same study: each ends
when no trial is left to begin, the last one with the whole front. For a trial that was killed another one is begun; one
that was interrupted with Ctrl-C is begun anew.
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, RangeSweep, Transformer
from hydra.errors import HydraException
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vsd.cli import CONF
from vsd.metrics import metric_of
from vsd.run import app, disk
from vsd.run.locks import is_locked, locked

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

LARGEST_GRID = 10_000  # settings
LONGEST_NAME = 200  # bytes of a folder's name
CUT_SHORT, REPEATED = "cut short", "repeated"
LOCKS = ".locks"  # their folder
SEED_STEP = 1_000_003  # between the seeds of trials
Goals = list[tuple[str, str]]  # metric, "maximize" or "minimize"
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
    Console().print(front(study, goals))
    if others := running(study, args.folder):
        log.info("%d of the trials are still at work in other processes", len(others))
    return 0 if study.best_trials or others else 1


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


def searched(overrides: Sequence[str]) -> list[Override]:
    """The overrides as Hydra reads them. UsageError if there is nothing to search, or nothing that can be searched."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    names = [override.get_key_element() for override in parsed]
    if not any(override.is_sweep_override() for override in parsed):
        raise app.UsageError(f"OVERRIDE: one must leave a choice (ratio=interval(0.5,0.99)), got {' '.join(overrides)}")
    if len(set(names)) < len(names):
        raise app.UsageError(f"OVERRIDE: each dial must be set once, got {' '.join(overrides)}")
    optuna = _optuna()
    trial = optuna.create_study().ask()
    for override in parsed:
        name = override.get_key_element()
        if name == "out":
            raise app.UsageError(f"out: must be left to the study (--folder), got {override.input_line}")
        if isinstance(override.value(), Glob):
            raise app.UsageError(f"{name}: must list its options, got {override.input_line}")
        try:
            suggest(trial, override)
        except ValueError as error:
            raise app.UsageError(f"{name}: must be a choice, a range or an interval that holds something, "
                                 f"got {override.input_line} ({error})") from error  # fmt: skip
    return parsed


def opened(folder: Path, goals: Goals) -> Study:
    """The study of this folder, begun or found again."""
    optuna = _optuna()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        disk.check_folder(folder, field="--folder")
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    directions = [optuna.study.StudyDirection[direction.upper()] for _, direction in goals]
    study: Study = optuna.create_study(study_name="study", storage=storage, directions=directions, load_if_exists=True)
    return study


def check_identity(study: Study, folder: Path, goals: Goals, overrides: Sequence[str]) -> None:
    """UsageError if the folder's study is one of other goals or overrides."""
    ours = _identity(goals, overrides)
    for name, value in study.user_attrs.items():
        if value != ours[name]:
            held = " ".join(part for entry in value for part in ([entry] if isinstance(entry, str) else entry))
            raise app.UsageError(f"--folder: {str(folder)!r} must hold a study of the same {name}, got one of {held}")
    if len(study.directions) != len(goals):  # begun, but no trial was finished
        raise app.UsageError(
            f"--folder: {str(folder)!r} must hold a study of as many goals, got {len(study.directions)}"
        )


def search(
    study: Study,
    space: Sequence[Override],
    folder: Path,
    goals: Goals,
    overrides: Sequence[str],
    *,
    trials: int,
    seed: int | None,
) -> None:
    """Run trials one by one until the study has `trials` of them, failed ones and those of other workers included."""
    from optuna.trial import TrialState

    while True:
        with next_trial(study, space, folder, trials=trials, seed=seed) as begun:
            if begun is None:
                return
            trial, chosen = begun
            try:
                values = run(chosen, folder / name_of(trial), goals)
            except (KeyboardInterrupt, Exception) as error:
                trial.set_user_attr(CUT_SHORT, not isinstance(error, app.NothingDone))
                study.tell(trial, state=TrialState.FAIL)
                if isinstance(error, KeyboardInterrupt):
                    study.enqueue_trial(trial.params)  # begun anew, it finds the samples that are finished
                if not isinstance(error, app.NothingDone):
                    raise
                log.warning("trial %d failed: %s", trial.number, error)
            else:
                study.tell(trial, values)
                for name, value in _identity(goals, overrides).items():
                    study.set_user_attr(name, value)


@contextmanager
def next_trial(
    study: Study, space: Sequence[Override], folder: Path, *, trials: int, seed: int | None
) -> Iterator[tuple[Trial, list[str]] | None]:
    """Begins a trial and gives its overrides; None if `trials` have ended or are running. Within, other workers see
    that it is running, and none of them runs the same settings: it would find all samples finished behind this one."""
    from optuna.samplers import TPESampler

    locks, begun = folder / LOCKS, None
    with ExitStack() as held:
        with locked(locks, "study"):
            if ended(study) + len(running(study, folder)) < trials:
                count = len(study.get_trials(deepcopy=False))
                seed = None if seed is None else seed + SEED_STEP * count
                study.sampler = TPESampler(seed=seed)
                begun = _untried(study, space, folder, seed)
                if begun is not None:
                    held.enter_context(locked(locks, _number(begun[0])))
        if begun:
            held.enter_context(locked(locks, name_of(begun[0])))
        yield begun


def _untried(study: Study, space: Sequence[Override], folder: Path, seed: int | None) -> tuple[Trial, list[str]] | None:
    """A trial of settings that no other one has, and its overrides; None if there are no more. What the sampler asks
    for once more is replaced by a setting at random."""
    known, every = tried(study, folder), grid(space)
    left = None if every is None else [params for params in every if params not in known]
    if left is not None and not left:
        log.info("all %d settings are tried", len(every or ()))
        return None
    trial = study.ask()
    chosen = [suggest(trial, override) for override in space]
    if left is None or trial.params in left:
        return trial, chosen
    _forget(study, trial)
    study.enqueue_trial(left[int(np.random.default_rng(seed).integers(len(left)))])
    trial = study.ask()
    return trial, [suggest(trial, override) for override in space]


def _forget(study: Study, trial: Trial) -> None:
    """End a trial that is not to count."""
    from optuna.trial import TrialState

    for name in (CUT_SHORT, REPEATED):
        trial.set_user_attr(name, True)
    study.tell(trial, state=TrialState.FAIL)


def tried(study: Study, folder: Path) -> list[dict[str, Any]]:
    """The settings of all trials that have ended, or that a worker is at."""
    from optuna.trial import TrialState

    ours = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
    known = [trial.params for trial in ours if not trial.user_attrs.get(CUT_SHORT)]
    return known + [trial.params for trial in running(study, folder)]


def grid(space: Sequence[Override]) -> list[dict[str, Any]] | None:
    """All settings of a space without an interval; None of one that has any, or more settings than can be listed."""
    options: dict[str, list[Any]] = {}
    for override in space:
        if override.is_sweep_override():
            if isinstance(override.value(), IntervalSweep):
                return None
            options[override.get_key_element()] = _options(override)
    if prod(map(len, options.values())) > LARGEST_GRID:
        return None
    return [dict(zip(options, values, strict=True)) for values in product(*map(dict.fromkeys, options.values()))]


def _options(override: Override) -> list[Any]:
    """The values that a choice or a range leaves, as Optuna has them: numbers of a range, else text."""
    whole = _whole(override.value())
    if whole is not None:
        return list(whole)
    return [str(option) for option in override.sweep_iterator(transformer=Transformer.encode)]


def _whole(sweep: Any) -> range | None:
    """The whole numbers of a sweep over some that follow each other; None of any other."""
    if not isinstance(sweep, RangeSweep) or sweep.step != 1:
        return None
    start, stop = sweep.start, sweep.stop
    return range(start, stop) if isinstance(start, int) and isinstance(stop, int) else None


def ended(study: Study) -> int:
    """How many trials have a result or have failed; those that were cut short are tried again."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
    return sum(not trial.user_attrs.get(CUT_SHORT) for trial in trials)


def running(study: Study, folder: Path) -> list[FrozenTrial]:
    """The trials at which a worker is; the journal alone does not tell of those that were killed."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [trial for trial in trials if is_locked(folder / LOCKS, _number(trial))]


def _number(trial: Trial | FrozenTrial) -> str:
    return f"trial {trial.number}"


def suggest(trial: Trial, override: Override) -> str:
    """The override with a value that Optuna chose, or as it is if it leaves no choice. ValueError for an empty one."""
    name, sweep = override.get_key_element(), override.value()
    if not override.is_sweep_override():
        return str(override.input_line)
    scale = "log" in (getattr(sweep, "tags", None) or ())
    if isinstance(sweep, IntervalSweep) and sweep.start is not None and sweep.end is not None:
        return f"{name}={trial.suggest_float(name, float(sweep.start), float(sweep.end), log=scale)}"
    whole = _whole(sweep)
    if whole is not None:
        return f"{name}={trial.suggest_int(name, whole.start, whole.stop - 1, log=scale)}"
    options = _options(override)
    if scale or not options:
        raise ValueError("only intervals and ranges have a scale" if scale else "no options")
    return f"{name}={trial.suggest_categorical(name, options)}"


def name_of(trial: Trial | FrozenTrial) -> str:
    """The folder of a trial: the same for the same settings."""
    from vsd.utils.fingerprint import fingerprint

    name = ",".join(f"{key}={value}" for key, value in sorted(trial.params.items()))
    return name if len(name.encode()) <= LONGEST_NAME and "/" not in name else fingerprint(name)


def run(overrides: Sequence[str], folder: Path, goals: Goals) -> list[float]:
    """One trial; its values. UsageError for a setting that is refused, NothingDone if a metric has no value."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        metrics = app.run(compose("config", overrides=list(overrides)), folder, overrides=overrides)
    missing = [name for name, _ in goals if name not in metrics]
    if missing:
        raise app.NothingDone(f"{', '.join(missing)} has no value here")
    return [metrics[name] for name, _ in goals]


def front(study: Study, goals: Goals) -> Table:
    """The trials that no other one beats in all objectives, by the first of them, with their folders."""
    table = Table(title="The front", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("trial", *(name for name, _ in goals)):
        table.add_column(heading, justify="right")
    table.add_column("folder", overflow="fold")
    for trial in sorted(study.best_trials, key=lambda trial: trial.values):
        table.add_row(str(trial.number), *(f"{value:.4g}" for value in trial.values), escape(name_of(trial)))
    return table


def write_csv(study: Study, goals: Goals, file: Path) -> None:
    """One line per trial: number, state, whether it is on the front, metrics, settings."""
    best = {trial.number for trial in study.best_trials}
    trials = [trial for trial in study.get_trials(deepcopy=False) if not trial.user_attrs.get(REPEATED)]
    names = sorted({name for trial in trials for name in trial.params})
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["trial", "state", "front", *(name for name, _ in goals), *names])
        for trial in trials:
            chosen = [trial.params.get(name, "") for name in names]
            values: Sequence[Any] = trial.values or [""] * len(goals)
            writer.writerow([trial.number, trial.state.name.lower(), trial.number in best, *values, *chosen])


def _identity(goals: Goals, overrides: Sequence[str]) -> dict[str, list[Any]]:
    """What all trials of a study have in common, as JSON gives it back."""
    return {"goals": [list(goal) for goal in goals], "overrides": sorted(overrides)}


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise app.UsageError('optuna: must be installed for a study (pip install ".[study]"), got nothing') from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


if __name__ == "__main__":
    sys.exit(main())
