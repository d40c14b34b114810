"""Samples, differences from the target's own tokens, seconds of each step, memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from vsd.metrics.registry import FAMILIES, Family, Metric, Sums, Value, metric, ratio
from vsd.metrics.sums import LARGEST


@metric("samples/done", "samples decoded", "count", "higher")
def done(s: Sums) -> Value:
    """Samples that were decoded."""
    return s["finished"]


@metric("samples/failed", "samples failed", "count", "lower", live=True)
def failed(s: Sums) -> Value:
    """Samples that could not be decoded."""
    return s["failed"]


@metric("exact/mismatched", "generations that differ", "count", "lower", live=True)
def mismatched(s: Sums) -> Value:
    """Samples whose tokens differ from the target's own."""
    return np.where(s["compared"] == 0, np.nan, s["mismatched"])


@metric("exact/near_tie", "... by a near-tie", "count", "neither")
def near_tie(s: Sums) -> Value:
    """Of these, the samples where rounding explains the difference (see `vsd.metrics.audit`). Left out where a rule may
    differ."""
    return np.where((s["compared"] == 0) | (s["audited"] < s["mismatched"]), np.nan, s["near_tie"])


@metric("exact/unexplained", "... unexplained", "count", "lower")
def unexplained(s: Sums) -> Value:
    """Of these, the samples whose difference nothing explains."""
    return mismatched.value(s) - near_tie.value(s)


@metric("exact/violations", "... tokens unexplained", "count", "lower")
def violations(s: Sums) -> Value:
    """Tokens of these samples that are not the target's: it has read all before them, and another token is likelier by
    more than rounding explains."""
    return np.where((s["compared"] == 0) | (s["audited"] < s["mismatched"]), np.nan, s["violations"])


@metric("memory/peak_mb", "peak memory, MiB", "megabytes", "lower", live=True)
def peak_mb(s: Sums) -> Value:
    """The most memory that the run held at a time, in MiB."""
    return np.where(s["finished"] == 0, np.nan, s[f"{LARGEST}peak_mb"])


_TIME = "time/"


def _time(name: str) -> Metric | None:
    span = name.removeprefix(_TIME)
    if not span.isidentifier():
        return None
    text = f"Mean seconds of a sample's {span} (see `vsd.types.Trace`)."
    value = partial(_mean, name=name)
    return Metric(name=name, label=f"seconds, {span}", unit="seconds", better="lower", formula=text, value=value)


def _mean(s: Sums, name: str) -> Value:
    return ratio(s[name], s["done"])


def _spans(sums: Mapping[str, Any]) -> list[str]:
    return [name for name in sums if name.startswith(_TIME)]


FAMILIES.append(Family(prefix=_TIME, examples=("time/decode",), member=_time, names=_spans))
