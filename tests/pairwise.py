"""Combinations in which every two values of different axes meet at least once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allpairspy import AllPairs


def pairwise(*axes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Rows with a value of each axis."""
    return [tuple(row) for row in AllPairs([list(axis) for axis in axes])]
