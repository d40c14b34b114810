"""What tells runs apart: the dials whose values differ between them, without those that only follow another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vsd.run.report.folder import NOT_HASHED
from vsd.run.results.run import Run

NOT_THE_RUN = frozenset({*NOT_HASHED, "hydra"})
"""Where and how far a run goes; what it gives does not depend on them."""
_UNSET = "–"
DEFAULTS = "(defaults)"
"""What was set for a run for which nothing was."""


def dials_of(run: Run) -> dict[str, Any]:
    """Every dial of a run by its name on the command line; a group's is its option."""
    found: dict[str, Any] = {}
    for name, value in run.config.items():
        if name in NOT_THE_RUN:
            continue
        if isinstance(value, Mapping) and (name in run.choices or "_target_" in value):
            found[name] = run.choices.get(name) or _class_of(value)
        found |= _leaves(name, value) if isinstance(value, Mapping) else {name: value}
    return found


def settings(runs: Sequence[Run]) -> list[str]:
    """What was set for each run and not for all, as the command line has it: DEFAULTS where nothing was set. Where the
    command line is not known, the dials that differ."""
    given = [[word for word in run.overrides if group_of(word) not in NOT_THE_RUN] for run in runs]
    shared = set.intersection(*map(set, given)) if len(runs) > 1 else set[str]()
    differing = varying(runs)
    found = list[str]()
    for place, words in enumerate(given):
        dials = (f"{name}={column[place]}" for name, column in differing.items() if column[place] != _UNSET)
        own = [word for word in words if word not in shared]
        known = words or "overrides" in runs[place].provenance
        found.append(" ".join(own if words else [DEFAULTS] if known else dials))
    return found


def dial_of(override: str) -> str:
    """What an override sets, adds or takes away: of "+pruner.alpha=1" it is "pruner.alpha"."""
    return override.lstrip("+~").partition("=")[0]


def brief(names: Sequence[str]) -> list[str]:
    """Each dial by its last word, where no other ends with it."""
    last = [name.rpartition(".")[2] for name in names]
    return [short if last.count(short) == 1 else name for name, short in zip(names, last, strict=True)]


def group_of(override: str) -> str:
    """The group or top-level dial that it belongs to."""
    return dial_of(override).partition(".")[0]


def varying(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """The dials that differ between these runs, with the value of each run, "–" where it has none.

    A field of a group counts where it differs between runs with the same option: between options it follows from the
    choice. One that goes with another dial, by interpolation, is left out; and beside `without` all that it decides.
    """
    tables = [dials_of(run) for run in runs]
    names = dict.fromkeys(name for table in tables for name in table)
    columns = {name: [table.get(name, _UNSET) for table in tables] for name in names}
    chosen = {name: column for name, column in columns.items() if _differs(name, columns)}
    found = {name: column for name, column in chosen.items() if not _follows(name, column, chosen)}
    words = [dial_of(word) for run in runs for word in run.overrides]
    if parts := found.get("without"):
        found = {name: column for name, column in found.items() if name in words or not _decided(column, parts)}
    place = {word: number for number, word in enumerate(dict.fromkeys(words))}  # as they were given
    return dict(sorted(found.items(), key=lambda item: place.get(item[0], len(place))))


def given(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """The dials that the command line of any of these runs has set, whether or not they differ, with the value of each
    run, "–" where it has none."""
    tables = [{**run.choices, **dials_of(run)} for run in runs]
    words = [word.lstrip("+").partition("=")[0] for run in runs for word in run.overrides]
    names = [name for name in dict.fromkeys(words) if name not in NOT_THE_RUN and any(name in each for each in tables)]
    return {name: [table.get(name, _UNSET) for table in tables] for name in names}


def _leaves(prefix: str, value: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in value.items():
        if name == "_target_":
            continue
        key = f"{prefix}.{name}"
        if isinstance(inner, Mapping) and "_target_" in inner:
            found[key] = _class_of(inner)
        found |= _leaves(key, inner) if isinstance(inner, Mapping) else {key: inner}
    return found


def _class_of(option: Mapping[str, Any]) -> str:
    return str(option.get("_target_", _UNSET)).rpartition(".")[2]


def _differs(name: str, columns: Mapping[str, list[Any]]) -> bool:
    """Whether a column has two values, of runs that have chosen the same above it."""
    above = name.rpartition(".")[0]
    while above and above not in columns:
        above = above.rpartition(".")[0]
    choices = columns[above] if above else [None] * len(columns[name])
    by_choice: dict[Any, set[str]] = {}
    for choice, value in zip(choices, columns[name], strict=True):
        by_choice.setdefault(repr(choice), set()).add(repr(value))
    return any(len(values) > 1 for values in by_choice.values())


def _decided(column: list[Any], parts: list[Any]) -> bool:
    """Whether a dial has one value for each part that was left out."""
    return len({(part, repr(value)) for part, value in zip(parts, column, strict=True)}) == len(set(parts))


def _follows(name: str, column: list[Any], chosen: Mapping[str, list[Any]]) -> bool:
    """Whether a dial that stands above it has the same values, wherever this one has any."""
    shorter = [other for other in chosen if other.count(".") < name.count(".")]
    return any(
        all(mine in (_UNSET, theirs) for mine, theirs in zip(column, chosen[other], strict=True)) for other in shorter
    )
