"""A job of a multirun on one line, when it has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from rich.markup import escape

from vsd.metrics import METRICS

_SAID = {"speed/decode": "decoding", "accept/draft_length": "accepted", "quality/retention": "quality kept"}


def job_line(
    number: int,
    total: int,
    overrides: Sequence[str],
    metrics: Mapping[str, float] | None,
    spent_s: float | None,
) -> str:
    """Which it was, counted from 0 as its folder is, what was set for it, its headline, and how long all jobs will
    still take, by those so far. `metrics` is None for a job that failed; what is not known (0, None) is left out."""
    said = "[red]failed[/]" if metrics is None else ", ".join(_headline(metrics))
    left = _left(number + 1, total, spent_s)
    return "  ".join(part for part in (f"[bold]job {number}[/]", escape(" ".join(overrides)), said, left) if part)


def _headline(metrics: Mapping[str, float]) -> list[str]:
    said = {name: word for name, word in _SAID.items() if name in metrics}
    if metrics.get("exact/mismatched") == 0:
        said.pop("quality/retention", None)  # the target's own
    parts = [f"{METRICS[name].written(metrics[name])} {word}" for name, word in said.items()]
    differ, failed = int(metrics.get("exact/unexplained", 0)), int(metrics.get("samples/failed", 0))
    parts += [f"[red]{differ} not exact[/]"] if differ else []
    return parts + ([f"[red]{failed} samples failed[/]"] if failed else [])


def _left(done: int, total: int, spent_s: float | None) -> str:
    if spent_s is None or done >= total:
        return ""
    return f"[dim]{done} of {total}, {timedelta(seconds=round(spent_s / done * (total - done)))} left[/]"
