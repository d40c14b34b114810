"""Trials one after the other, by as many workers as share the study's folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.core.override_parser.types import Override

from vsd.commands.in_process import run_here
from vsd.commands.study.space import grid, load_optuna, suggest
from vsd.run import app, disk
from vsd.run.locks import is_locked, locked

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

LONGEST_NAME = 200  # bytes of a folder's name
CUT_SHORT, REPEATED = "cut short", "repeated"
LOCKS = ".locks"  # their folder
SEED_STEP = 1_000_003  # between the seeds of trials
Goals = list[tuple[str, str]]  # metric, "maximize" or "minimize"
log = logging.getLogger(__name__)


def opened(folder: Path, goals: Goals) -> Study:
    """The study of this folder, begun or found again."""
    optuna = load_optuna()
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
            log.info("trial %d: %s", trial.number, " ".join(f"{name}={value}" for name, value in trial.params.items()))
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
                log.info(
                    "  %s", ", ".join(f"{name} {value:.4g}" for (name, _), value in zip(goals, values, strict=True))
                )
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


def name_of(trial: Trial | FrozenTrial) -> str:
    """The folder of a trial: the same for the same settings."""
    from vsd.utils.fingerprint import fingerprint

    name = ",".join(f"{key}={value}" for key, value in sorted(trial.params.items()))
    return name if len(name.encode()) <= LONGEST_NAME and "/" not in name else fingerprint(name)


def run(overrides: Sequence[str], folder: Path, goals: Goals) -> list[float]:
    """One trial; its values. UsageError for a setting that is refused, NothingDone if a metric has no value."""
    metrics = run_here(overrides, folder)
    missing = [name for name, _ in goals if name not in metrics]
    if missing:
        raise app.NothingDone(f"{', '.join(missing)} has no value here")
    return [metrics[name] for name, _ in goals]


def _identity(goals: Goals, overrides: Sequence[str]) -> dict[str, list[Any]]:
    """What all trials of a study have in common, as JSON gives it back."""
    return {"goals": [list(goal) for goal in goals], "overrides": sorted(overrides)}
