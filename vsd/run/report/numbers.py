"""All numbers of a run: what `metrics.json` holds and what is logged."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vsd.metrics import quality, stats
from vsd.metrics.record import Record
from vsd.utils.faults import left_out, warn_once
from vsd.utils.validation import is_number

OTHERS = (  # metrics that are not in the list of `vsd.metrics.stats`, as patterns
    r"accept/position_\d+(_unconditional)?",
    r"time/\w+",
    r"exact/(mismatched|near_tie|unexplained)|memory/peak_mb|samples/(done|failed)",
    r"quality/[A-Za-z]\w*",  # a data set names its own
)


def numbers(records: Sequence[Record]) -> dict[str, float]:
    """Statistics and quality as one flat dict of finite numbers. A metric that cannot be told is left out with a
    warning."""
    done = sum(record.done for record in records)
    values: dict[str, float] = {"samples/done": done, "samples/failed": len(records) - done}
    for name, summary in (("statistics", stats.summary), ("quality", quality.summary)):
        with left_out(name):
            values |= summary(records)
    for name in [name for name, value in values.items() if not is_number(value)]:
        warn_once(f"{name} is left out: must be a finite number, got {values.pop(name)!r}")
    return values


def standard_errors(records: Sequence[Record]) -> dict[str, float]:
    """The standard errors of these numbers, as far as they can be told."""
    values: dict[str, float] = {}
    for errors in (stats.standard_errors, quality.standard_errors):
        with left_out("a standard error"):
            values |= errors(records)
    return values


def is_metric(name: str) -> bool:
    """Whether a run can have a number of this name."""
    return name in stats.METRICS or any(re.fullmatch(pattern, name) for pattern in OTHERS)
