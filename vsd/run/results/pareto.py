"""The Pareto front: what no other one beats."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The places of the points that no other is as good as in both numbers and better in one; more is better. By the
    second number, the largest first."""
    found = [
        place
        for place, mine in enumerate(points)
        if not any(
            other[0] >= mine[0] and other[1] >= mine[1] and other != mine
            for other in points
        )
    ]  # fmt: skip
    return sorted(found, key=lambda place: -points[place][1])
