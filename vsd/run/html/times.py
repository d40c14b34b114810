"""Where the seconds of a sample go, in steps that add up to all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from vsd.run.results.run import Run
from vsd.types import Trace

_BESIDE = ("prune", "draft_encode", "draft_prefill")
SPANS = (
    "encode",
    "prefill",
    *_BESIDE,
    "decode: target",
    "decode: waits for draft",
    "decode: rest",
    "rest",
)
"""The steps, in order (see `vsd.types.Trace`)."""


def spans(run: Run) -> dict[str, float]:
    """Mean seconds of each step of a run's samples that were decoded."""
    return _steps([record.trace for record in run.records if record.trace is not None])


def alone(run: Run) -> dict[str, float]:
    """The same of the target alone, whose decoding is one step; empty if it was not measured."""
    traces = [record.baseline for record in run.records if record.baseline is not None]
    return _steps(traces) if traces else {}


def _steps(traces: Sequence[Trace]) -> dict[str, float]:
    """`hidden` is more than 0 where draft and pruning ran within the target's prefill: they are then part of it."""
    mean = {name: _mean(traces, name) for name in ("encode", "prefill", *_BESIDE, "decode", "total")}
    found: dict[str, float] = {name: mean[name] for name in ("encode", "prefill")}
    beside = {name: mean[name] for name in _BESIDE}
    if sum(found.values()) + sum(beside.values()) + mean["decode"] <= 1.01 * mean["total"]:
        found |= beside
    else:
        found["hidden"] = sum(beside.values())
    found |= _decoding(traces, mean["decode"])
    shown = sum(value for name, value in found.items() if name != "hidden")
    return found | {"rest": max(0.0, mean["total"] - shown)}


def _decoding(traces: Sequence[Trace], decode_s: float) -> Mapping[str, float]:
    rounds = [round_ for trace in traces for round_ in trace.rounds]
    if not rounds:  # a baseline's are not kept: each would be one step of the target
        return {"decode: target": decode_s}
    verify_s = sum(each.verify_s for each in rounds) / len(traces)
    wait_s = sum(each.wait_s for each in rounds) / len(traces)
    rest_s = max(0.0, decode_s - verify_s - wait_s)
    return {"decode: target": verify_s, "decode: waits for draft": wait_s, "decode: rest": rest_s}


def _mean(traces: Sequence[Trace], name: str) -> float:
    return fmean(trace.seconds.get(name, 0.0) for trace in traces)
