"""What a study searches: Hydra's sweep syntax as Optuna's distributions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, RangeSweep, Transformer

from vsd.commands.in_process import composed
from vsd.run import app
from vsd.run.swept import asked

if TYPE_CHECKING:
    from optuna.trial import Trial

LARGEST_GRID = 10_000  # settings


def with_experiment(overrides: Sequence[str]) -> list[str]:
    """The overrides, behind the values that their experiment sweeps. Raises HydraException for what does not
    compose."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    fixed = [str(override.input_line) for override in parsed if not override.is_sweep_override()]
    return asked(composed(fixed, hydra=True).hydra.sweeper.params, overrides)


def searched(overrides: Sequence[str]) -> list[Override]:
    """The overrides as Hydra reads them. UsageError if there is nothing to search, or nothing that can be searched."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    names = [override.get_key_element() for override in parsed]
    if not any(override.is_sweep_override() for override in parsed):
        raise app.UsageError(f"OVERRIDE: one must leave a choice (ratio=interval(0.5,0.99)), got {' '.join(overrides)}")
    if len(set(names)) < len(names):
        raise app.UsageError(f"OVERRIDE: each dial must be set once, got {' '.join(overrides)}")
    optuna = load_optuna()
    trial = optuna.create_study().ask()
    for override in parsed:
        name = override.get_key_element()
        if name == "out":
            raise app.UsageError(f"out: must be left to the study (--folder), got {override.input_line}")
        if name == "dry_run":
            raise app.UsageError(f"dry_run: must be left out of a study, got {override.input_line}")
        if isinstance(override.value(), Glob):
            raise app.UsageError(f"{name}: must list its options, got {override.input_line}")
        try:
            suggest(trial, override)
        except ValueError as error:
            raise app.UsageError(f"{name}: must be a choice, a range or an interval that holds something, "
                                 f"got {override.input_line} ({error})") from error  # fmt: skip
    return parsed


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


def load_optuna() -> Any:
    """The package, which comes with an extra. UsageError where it is missing."""
    try:
        import optuna
    except ImportError:
        raise app.UsageError('optuna: must be installed for a study (pip install ".[study]"), got nothing') from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
