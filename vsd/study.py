"""A search for the best settings by Optuna: ``python -m vsd.study --maximize METRIC [--maximize METRIC] OVERRIDE ...``

The overrides are run.py's, and Hydra's sweep syntax says what is searched: ``pruner=random,hippo`` (one of these),
``gamma=range(1,11)`` (a whole number from 1 to 10), ``ratio=interval(0.5,0.99)`` (any number between), each of the last
two on a logarithmic scale inside ``tag(log,...)``. With two objectives the answer is a front: the trials that no other
one beats in both.

Every trial is a run folder below FOLDER, named by its settings, and the study itself is FOLDER/study.journal: the same
command goes on where it stopped, and several at once, on machines that share FOLDER, work at the same study.
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, RangeSweep, Transformer
from hydra.errors import HydraException
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vsd import app

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

CONF = Path("conf")
LONGEST_NAME = 200  # characters of a folder's name
CUT_SHORT = "cut short"
log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs trials until the study has as many as asked for, then prints its front. Exit codes: 0 done, 1 no trial could
    be finished, 2 refused, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m vsd.study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maximize", action="append", default=[], metavar="METRIC", help="of metrics.json")
    parser.add_argument("--minimize", action="append", default=[], metavar="METRIC", help="of metrics.json")
    parser.add_argument("--trials", type=int, default=20, help="of the whole study, earlier ones included")
    parser.add_argument("--folder", type=Path, default=Path("outputs/study"))
    parser.add_argument("--seed", type=int, help="of the search")
    parser.add_argument("overrides", nargs="+", metavar="OVERRIDE")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    goals = dict.fromkeys(args.maximize, "maximize") | dict.fromkeys(args.minimize, "minimize")
    try:
        space = searched(args.overrides, goals)
        study = opened(args.folder, goals, args.seed)
    except (app.UsageError, HydraException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        search(study, space, args.folder, list(goals), args.trials)
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on", file=sys.stderr)
        return 130
    except (app.UsageError, HydraException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        write_csv(study, list(goals), args.folder / "trials.csv")
    Console().print(front(study, list(goals)))
    return 0 if study.best_trials else 1


def searched(overrides: Sequence[str], goals: Mapping[str, str]) -> list[Override]:
    """The overrides as Hydra reads them. UsageError if there is nothing to search, no goal, or a glob."""
    if not goals:
        raise app.UsageError("--maximize: must name a metric of metrics.json, got nothing")
    if not CONF.is_dir():
        raise app.UsageError(f"conf: must be in the folder that this is called from, got {str(Path.cwd())!r}")
    found = OverridesParser.create().parse_overrides(list(overrides))
    if not any(override.is_sweep_override() for override in found):
        raise app.UsageError(f"OVERRIDE: one must leave a choice (ratio=interval(0.5,0.99)), got {' '.join(overrides)}")
    for override in found:
        if isinstance(override.value(), Glob):
            raise app.UsageError(f"{override.get_key_element()}: must list its options, got {override.input_line}")
    return found


def opened(folder: Path, goals: Mapping[str, str], seed: int | None) -> Study:
    """The study of this folder, begun or found again. UsageError if Optuna is missing or it has other goals."""
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise app.UsageError('optuna: must be installed for a study (pip install ".[study]"), got nothing') from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "study.journal"))),
        study_name="study",
        load_if_exists=True,
        directions=[optuna.study.StudyDirection[goal.upper()] for goal in goals.values()],
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    study_goals = study.user_attrs.get("goals", dict(goals))
    if study_goals != dict(goals):
        raise app.UsageError(f"--folder: must hold a study of the same goals, got one of {study_goals}")
    study.set_user_attr("goals", dict(goals))
    return study


def search(study: Study, space: Sequence[Override], folder: Path, metrics: Sequence[str], trials: int) -> None:
    """Run trials one by one until the study has `trials` of them, failed ones included."""
    from optuna.trial import TrialState

    def ended() -> int:
        states = (TrialState.COMPLETE, TrialState.FAIL)
        found: list[FrozenTrial] = study.get_trials(deepcopy=False, states=states)
        return sum(not trial.user_attrs.get(CUT_SHORT) for trial in found)

    while ended() < trials:
        trial = study.ask()
        overrides = [suggest(trial, override) for override in space]
        try:
            values = run(overrides, folder / name_of(trial), metrics)
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


def suggest(trial: Trial, override: Override) -> str:
    """The override with a value that Optuna chose, or as it is if it leaves no choice."""
    name, sweep = override.get_key_element(), override.value()
    if not override.is_sweep_override():
        return str(override.input_line)
    scale = "log" in getattr(sweep, "tags", ())
    if isinstance(sweep, IntervalSweep) and sweep.start is not None and sweep.end is not None:
        return f"{name}={trial.suggest_float(name, float(sweep.start), float(sweep.end), log=scale)}"
    if (
        isinstance(sweep, RangeSweep)
        and isinstance(sweep.start, int)
        and isinstance(sweep.stop, int)
        and sweep.step == 1
    ):
        return f"{name}={trial.suggest_int(name, sweep.start, sweep.stop - 1, log=scale)}"
    options = [str(option) for option in override.sweep_iterator(transformer=Transformer.encode)]
    return f"{name}={trial.suggest_categorical(name, options)}"


def name_of(trial: Trial | FrozenTrial) -> str:
    """The folder of a trial: the same for the same settings."""
    from vsd.baselines import fingerprint

    name = ",".join(f"{key}={value}" for key, value in sorted(trial.params.items())).replace("/", "_")
    return name if len(name) <= LONGEST_NAME else fingerprint(name)


def run(overrides: Sequence[str], folder: Path, metrics: Sequence[str]) -> list[float]:
    """One trial; its values of the metrics. UsageError for a setting that is refused and a metric that there is not."""
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        found = app.run(compose("config", overrides=list(overrides)), folder, overrides=overrides)
    for metric in metrics:
        if metric not in found:
            raise app.UsageError(f"--maximize, --minimize: must be of {', '.join(sorted(found))}, got {metric!r}")
    return [found[metric] for metric in metrics]


def front(study: Study, metrics: Sequence[str]) -> Table:
    """The trials that no other one beats in all objectives, by the first of them."""
    table = Table(title="The front", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("trial", *metrics):
        table.add_column(heading, justify="right")
    table.add_column("settings", overflow="fold")
    for trial in sorted(study.best_trials, key=lambda trial: trial.values):
        values = (f"{value:.4g}" for value in trial.values)
        table.add_row(str(trial.number), *values, escape(" ".join(settings(trial))))
    return table


def settings(trial: FrozenTrial) -> list[str]:
    """What Optuna chose, as overrides."""
    chosen = sorted(trial.params.items())
    return [f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in chosen]


def write_csv(study: Study, metrics: Sequence[str], file: Path) -> None:
    """One line per trial: number, state, whether it is on the front, metrics, settings."""
    best = {trial.number for trial in study.best_trials}
    trials = study.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.params})
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["trial", "state", "front", *metrics, *names])
        for trial in trials:
            chosen = [trial.params.get(name, "") for name in names]
            values: Sequence[Any] = trial.values or [""] * len(metrics)
            writer.writerow([trial.number, trial.state.name.lower(), trial.number in best, *values, *chosen])


if __name__ == "__main__":
    sys.exit(main())
