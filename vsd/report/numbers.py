"""All numbers of a run: what `metrics.json` holds and what is logged."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vsd import quality, stats
from vsd.record import Record

OTHERS = (  # metrics that are not in the list of `vsd.stats`, as patterns
    r"accept/position_\d+(_unconditional)?",
    r"time/\w+",
    r"exact/(mismatched|near_tie|unexplained)|memory/peak_mb|samples/(done|failed)",
    rf"quality/(baseline_)?({'|'.join(quality.NAMES)})(_low|_high)?",
)


def numbers(records: Sequence[Record]) -> dict[str, float]:
    """Statistics and quality as one flat dict of finite numbers."""
    return stats.summary(records) | quality.summary(records)


def is_metric(name: str) -> bool:
    """Whether a run can have a number of this name."""
    return name in stats.METRICS or any(re.fullmatch(pattern, name) for pattern in OTHERS)
