"""Checks of field values that YAML and the command line may have given any type."""

from __future__ import annotations

from numbers import Real


def is_number(value: object) -> bool:
    """Whether value is a real number; text and truth values are not."""
    return isinstance(value, Real) and not isinstance(value, bool)
