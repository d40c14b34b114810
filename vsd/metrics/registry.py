"""What a metric is, and all of them by name.

A metric is a function of sums that are pooled over samples: totals over totals, never a mean of ratios. So it can be
taken of any set of samples, and of many drawn sets at once (see `vsd.metrics.resampling`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Value = float | np.float64 | NDArray[np.float64]
"""One number, or one for each of many drawn sets of samples. NaN where the metric is undefined."""
Unit = Literal["times", "share", "tokens", "rate", "seconds", "megabytes", "count", "score", "percent"]
Better = Literal["higher", "lower", "neither"]

_WRITTEN: dict[str, str] = {
    "times": "{:.2f}x",
    "share": "{:.1%}",
    "tokens": "{:.2f}",
    "rate": "{:.1f}",
    "seconds": "{:.3g}",
    "megabytes": "{:.0f}",
    "count": "{:.0f}",
    "score": "{:.3f}",
    "percent": "{:.1f}",
}
assert set(_WRITTEN) == set(get_args(Unit))


class Sums(dict[str, Value]):
    """Sums by name; what was never added up is 0."""

    def __missing__(self, name: str) -> Value:
        return np.float64(0.0)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number of a run: its `label` in tables, how it is written (`unit`), which way is `better`, and its `formula` in
    words. `value` is of pooled sums. `live`: a person looks at it while the run goes on, so it is worth a curve."""

    name: str
    label: str
    unit: Unit
    better: Better
    formula: str
    value: Callable[[Sums], Value]
    live: bool = False

    def written(self, value: float) -> str:
        """The value as tables have it."""
        return _WRITTEN[self.unit].format(value)


METRICS: dict[str, Metric] = {}
"""The metrics whose names are known beforehand."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Metrics whose names depend on the run, like one for each draft position: all that begin with `prefix`. `member`
    gives the metric of a name, None for a name that the family does not have; `names` are those that sums hold;
    `examples` are a few that a table shows."""

    prefix: str
    examples: tuple[str, ...]
    member: Callable[[str], Metric | None]
    names: Callable[[Mapping[str, Any]], list[str]]


FAMILIES: list[Family] = []


def metric(
    name: str, label: str, unit: Unit, better: Better, *, live: bool = False
) -> Callable[[Callable[[Sums], Value]], Metric]:
    """Enters a function of the pooled sums as a metric; its docstring is the formula."""

    def enter(function: Callable[[Sums], Value]) -> Metric:
        METRICS[name] = Metric(
            name=name, label=label, unit=unit, better=better, formula=" ".join((function.__doc__ or "").split()),
            value=function, live=live,
        )  # fmt: skip
        return METRICS[name]

    return enter


def metric_of(name: str) -> Metric | None:
    """The metric of this name, None where a run cannot have such a number."""
    if name in METRICS:
        return METRICS[name]
    members = (family.member(name) for family in FAMILIES if name.startswith(family.prefix))
    return next((member for member in members if member is not None), None)


def metrics_in(sums: Mapping[str, Any]) -> list[Metric]:
    """All metrics that these sums may have."""
    names = [name for family in FAMILIES for name in family.names(sums)]
    return [*METRICS.values(), *(metric for name in names if (metric := metric_of(name)) is not None)]


def ratio(over: Any, under: Any) -> Value:
    """The quotient; NaN where the denominator is 0: such a metric is left out, not reported as 0 or infinity."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(under) == 0, np.nan, np.asarray(over) / np.asarray(under))
