"""What a multirun sweeps: the values that its experiment brings along, and those of its command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def asked(params: Mapping[str, Any] | None, overrides: Sequence[str]) -> list[str]:
    """The overrides of a whole multirun: an experiment's (`hydra.sweeper.params`), where the command line does not set
    the same dial, then the command line's."""
    return [*(f"{name}={values}" for name, values in left(params, overrides).items()), *overrides]


def left(params: Mapping[str, Any] | None, overrides: Sequence[str]) -> dict[str, Any]:
    """What of an experiment's values to sweep the command line leaves as they are, by dial."""
    given = {word.lstrip("+~").partition("=")[0] for word in overrides}
    return {name: values for name, values in (params or {}).items() if name not in given}
