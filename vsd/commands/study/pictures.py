"""A study's pictures, by Optuna's own plots: how it went on, what mattered, and the Pareto front of two goals."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsd.commands.study.trials import Goals

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

LEAST = 4  # trials, before a forest says what matters


def draw(study: Study, goals: Goals, folder: Path) -> list[Path]:
    """Writes them; returns the files. What cannot be drawn of so few trials is left out."""
    import matplotlib as mpl
    from optuna.exceptions import ExperimentalWarning

    mpl.use("agg")
    import matplotlib.pyplot as plt

    written = list[Path]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        for name, plot in _plots(study, goals):
            axes = plot()
            axes.figure.set_layout_engine("tight")
            axes.figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
            plt.close(axes.figure)
            written.append(folder / f"{name}.svg")
    return written


def _plots(study: Study, goals: Goals) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The names of the files, and what draws each."""
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.trial import TrialState
    from optuna.visualization import matplotlib as plots

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not done:
        return
    dials = {name for trial in done for name in trial.params if len({repr(each.params.get(name)) for each in done}) > 1}
    for place, (goal, _) in enumerate(goals):
        target = partial(_value, place=place)
        file, one = goal.replace("/", "-"), dict[str, Any](target=target, target_name=goal)
        yield f"history-{file}", partial(plots.plot_optimization_history, study, **one)
        if len(done) >= LEAST and dials and len({target(trial) for trial in done}) > 1:
            forest = FanovaImportanceEvaluator(seed=0)
            yield f"importance-{file}", partial(plots.plot_param_importances, study, evaluator=forest, **one)
    if len(goals) == 2:
        yield "front", partial(plots.plot_pareto_front, study, target_names=[goal for goal, _ in goals])


def _value(trial: FrozenTrial, place: int) -> float:
    return float(trial.values[place])
