"""Lists on a command line: ``0,0.5,0.9``, ``1,2,4-8``, ``hippo,uniform``."""

from __future__ import annotations

from collections.abc import Callable

from vsd.utils.validation import is_number, require


def numbers(name: str, text: str, rule: str, holds: Callable[[float], bool]) -> list[float]:
    """Numbers that all hold; one number where the rule says "one"."""
    parts = text.split(",")
    require(name, rule, text, all(is_written(part) and holds(float(part)) for part in parts))
    require(name, rule, text, "one" not in rule or len(parts) == 1)
    return [float(part) for part in parts]


def whole_numbers(name: str, text: str) -> list[int]:
    """1,2,4-8 as numbers."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        ends = [first, last] if dash else [first]
        holds = all(end.isdecimal() and int(end) >= 1 for end in ends)
        require(name, "whole numbers, at least 1, as in 1,2,4-8", text, holds and int(ends[0]) <= int(ends[-1]))
        found += range(int(ends[0]), int(ends[-1]) + 1)
    return found


def names(name: str, text: str, known: tuple[str, ...]) -> list[str]:
    """Some of those that are known."""
    parts = [part for part in text.split(",") if part]
    require(name, f"a list of {', '.join(known)}", text, all(part in known for part in parts))
    return parts


def is_written(text: str, *, least: float | None = None) -> bool:
    """Whether the text is a number, at least `least` if that is given."""
    try:
        value = float(text)
    except ValueError:
        return False
    return is_number(value) and (least is None or value >= least)
