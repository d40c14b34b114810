"""All checks of all options of a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from vsd.cli import CONF
from vsd.testing import drafters, evidence, option, pruners, schedules, verifiers
from vsd.testing.option import Option, options

Check = Callable[[Option], None]

CONTRACTS: Mapping[str, Sequence[Check]] = {
    "pruner": (*option.CHECKS, *evidence.CHECKS, *pruners.CHECKS),
    "drafter": (*option.CHECKS, *evidence.CHECKS, *drafters.CHECKS),
    "verifier": (*option.CHECKS, *evidence.CHECKS, *verifiers.CHECKS),
    "parallelism": (*option.CHECKS, *schedules.CHECKS),
}


def checks_of(
    conf: str | Path = CONF, *, overrides: Mapping[str, Sequence[str]] | None = None
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Each check of each option of the groups pruner, drafter, verifier and parallelism that have YAMLs in `conf`, by
    the name "group=option: check". A check returns nothing, or raises AssertionError.

    `overrides` are by option those of a command line that it cannot do without, as in
    ``{"drafter=head": ["drafter.file=head.pt"]}``. Raises ValueError for a folder without any option, and for
    overrides of one that is not there.
    """
    given = dict(overrides or {})
    found = [(group, name) for group in CONTRACTS for name in options(Path(conf), group)]
    if not found:
        raise ValueError(f"conf: must hold a YAML of one of the groups {', '.join(CONTRACTS)}, got {str(conf)!r}")
    if unknown := given.keys() - {f"{group}={name}" for group, name in found}:
        raise ValueError(f"overrides: must be of options in {conf}, got {', '.join(sorted(unknown))}")
    for group, name in found:
        more = tuple(given.get(f"{group}={name}", ()))
        of = Option(group=group, name=name, conf=Path(conf).resolve(), overrides=more)
        for check in CONTRACTS[group]:
            yield f"{group}={name}: {check.__name__.replace('_', ' ')}", partial(check, of)


def parametrize_with_contract(
    conf: str | Path = CONF, *, overrides: Mapping[str, Sequence[str]] | None = None
) -> pytest.MarkDecorator:
    """Parametrises a test's argument `check` with `checks_of` the same arguments: ``pytest -k NAME`` finds those of an
    option."""
    named: list[Any] = [pytest.param(check, id=name) for name, check in checks_of(conf, overrides=overrides)]
    return pytest.mark.parametrize("check", named)
