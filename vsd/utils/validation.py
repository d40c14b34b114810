"""Checks of field values that YAML and the command line may have given any type.

Each raises ValueError with a message that names the field, the rule and the value.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import TypeGuard

_LONGEST = 120  # characters of a value in a message


def first_line(error: BaseException) -> str:
    """What an error says, on one line; its name if it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def reason(error: BaseException) -> str:
    """An error's first line, with its name where that says what the line leaves out."""
    line, name = first_line(error), type(error).__name__
    return line if isinstance(error, (ValueError, RuntimeError)) or line == name else f"{name}: {line}"


def shortened(value: object) -> str:
    """The value as it is written in Python, on one line that is not too long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def is_number(value: object) -> TypeGuard[float]:
    """Whether value is a finite real number; text and truth values are not."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object, *, least: int) -> TypeGuard[int]:
    """Whether value is a whole number, at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def require(name: str, rule: str, value: object, holds: bool) -> None:
    """ValueError unless `holds`."""
    if not holds:
        raise ValueError(f"{name}: must be {rule}, got {shortened(value)}")


def require_whole(name: str, value: object, *, least: int) -> None:
    """A whole number, at least `least`."""
    require(name, f"a whole number, at least {least}", value, is_whole(value, least=least))


def require_number(name: str, value: object, *, least: float | None = None) -> None:
    """A number, at least `least` if that is given."""
    rule = "a number" if least is None else f"a number, at least {least}"
    require(name, rule, value, is_number(value) and (least is None or value >= least))


def require_share(name: str, value: object) -> None:
    """A number in [0, 1]."""
    require(name, "in [0, 1]", value, is_number(value) and 0 <= value <= 1)


def require_one_of(name: str, value: object, options: tuple[str, ...]) -> None:
    """One of the options."""
    require(name, f"one of {', '.join(options)}", value, value in options)
