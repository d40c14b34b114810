"""What a study has found: its front, the best settings as commands, and a line a trial."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from vsd.commands.study.trials import REPEATED, Goals, name_of
from vsd.run.results.cells import cell
from vsd.run.results.comparison import is_behind
from vsd.run.results.run import load_run

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


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


def best(study: Study, goals: Goals, folder: Path, overrides: Sequence[str]) -> list[str]:
    """For each goal the best setting as a command to copy, its value with its error, and whether the next one is told
    apart from it."""
    lines = list[str]()
    for place, (name, direction) in enumerate(goals):
        ranked = sorted(_finished(study), key=lambda trial: trial.values[place], reverse=direction == "maximize")
        if ranked:
            folders = dict.fromkeys(folder / name_of(trial) for trial in ranked)  # equal settings share one
            said = _with_error(name, ranked[0].values[place], [*folders][:2])
            lines += [f"[bold]best {escape(name)}[/]  {said}", f"  {escape(command(ranked[0].params, overrides))}"]
    return lines


def command(params: Mapping[str, Any], overrides: Sequence[str]) -> str:
    """The command that decodes with this setting, as a shell takes it."""
    chosen = [override for override in overrides if override.lstrip("+").partition("=")[0] not in params]
    return shlex.join(["vsd", *chosen, *(f"{name}={value}" for name, value in params.items())])


def _finished(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _with_error(name: str, value: float, folders: Sequence[Path]) -> str:
    """The best value and the next one, as their folders tell them; the value alone where somebody has removed one."""
    try:
        runs = [load_run(folder) for folder in folders]
    except ValueError:
        return f"{value:.4g}"
    behind = is_behind(runs[0], runs[1], name) if len(runs) > 1 else None
    if behind is None:
        return cell(runs[0].summary, name)
    apart = "told apart from it" if behind else "not told apart from it"
    return f"{cell(runs[0].summary, name)}, the next {cell(runs[1].summary, name)} is {apart}"
