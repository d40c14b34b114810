"""All numbers of a run: what `metrics.json` holds and what is logged."""

from __future__ import annotations

from collections.abc import Sequence

from vsd import quality, stats
from vsd.record import Record


def numbers(records: Sequence[Record]) -> dict[str, float]:
    """Statistics and quality as one flat dict of finite numbers."""
    return stats.summary(records) | quality.summary(records)
