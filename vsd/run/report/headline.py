"""The first lines of a run's end: what a person asks first, in the order in which it is asked."""

from __future__ import annotations

from collections.abc import Iterator

from vsd.metrics import Summary, metric_of
from vsd.metrics.registry import Metric

Line = tuple[str, str]
"""What is said of, and what is said."""

CLEAR = 1.96  # standard errors from which a difference is said


def headline(summary: Summary, *, lossless: bool, mismatched_matters: bool) -> list[Line]:
    """Exact?, how fast, how much is accepted, what a loose rule costs, what the draft sees. `lossless` is the rule's;
    `mismatched_matters`: it gives the target's own tokens, so that others are a fault."""
    lines = [*_exact(summary, mismatched_matters), *_speed(summary), *_accepted(summary)]
    return [*lines, *([] if lossless else _quality(summary)), *_seen(summary)]


def _exact(summary: Summary, matters: bool) -> Iterator[Line]:
    values = summary.values
    done, failed = (int(values.get(f"samples/{name}", 0)) for name in ("done", "failed"))
    if failed:
        yield "samples", f"[red]{failed} of {done + failed} failed[/]"
    if "exact/mismatched" not in values:
        return
    same, near = done - int(values["exact/mismatched"]), int(values.get("exact/near_tie", 0))
    if same == done:
        yield "exact", f"[green]yes[/]: {done} of {done} generations are the target's own, token by token"
    elif not matters:
        yield "exact", f"{same} of {done} generations are the target's own; this rule does not promise it"
    elif near == done - same:
        yield "exact", f"[yellow]but for rounding[/]: {same} of {done} are the target's own, {near} part at a near-tie"
    else:
        yield "exact", f"[red]no[/]: {done - same} of {done} generations are not the target's own"


def _speed(summary: Summary) -> Iterator[Line]:
    values = summary.values
    if "speed/decode" not in values:
        if "speed/tokens_per_s" in values:
            yield "speed", f"{_number(summary, 'speed/tokens_per_s')} tokens/s"
        return
    parts = [f"[bold]{_number(summary, 'speed/decode')}[/] decoding"]
    parts += [f"{_number(summary, 'speed/end_to_end')} whole answers"] if "speed/end_to_end" in values else []
    yield "speed", ", ".join([*parts, *_first_token(summary)])
    told, steps = list[str](), values.get("speed/verify_steps")
    if "speed/predicted" in values:
        told.append(f"theory {values['speed/predicted']:.2f}x, for which a verification costs one step of the target")
        told += [f"here it costs {steps:.2f}"] if steps is not None else []
    elif steps is not None:
        told.append(f"a verification costs {steps:.2f} steps of the target")
    if "speed/equal_devices" in values:
        told.append(f"{_number(summary, 'speed/equal_devices')} against a copy of the target on each device")
    if told:
        yield "", "; ".join(told)


def _first_token(summary: Summary) -> Iterator[str]:
    """How much later or earlier the first token comes, if that is told apart from not at all."""
    value, error = summary.values.get("speed/ttft"), summary.errors.get("speed/ttft", 0.0)
    if value is None or value <= 0:
        return
    later = 1 / value - 1
    if abs(later) < 0.005 or abs(value - 1) < CLEAR * error:
        yield "first token as early"
    else:
        yield f"first token {abs(later):.0%} {'later' if later > 0 else 'earlier'}"


def _accepted(summary: Summary) -> Iterator[Line]:
    values = summary.values
    if "accept/draft_length" not in values:
        return
    rate = f", {values['accept/rate']:.0%} of those tested" if "accept/rate" in values else ""
    yield "accepted", f"[bold]{_number(summary, 'accept/draft_length')}[/] draft tokens a round{rate}"
    if values.get("relax/share"):
        yield "", f"{values['relax/share']:.1%} of them stand by the loose rule alone"


def _quality(summary: Summary) -> Iterator[Line]:
    values = summary.values
    names = ["quality/retention"] if "quality/retention" in values else ["quality/rouge_l", "quality/agreement"]
    said = [
        f"{_metric(name).label} {_number(summary, name)}"
        for name in names
        if name in values and metric_of(name) is not None
    ]
    if said:
        yield "quality", ", ".join(said)


def _seen(summary: Summary) -> Iterator[Line]:
    values = summary.values
    kept, visual = values.get("prune/kept"), values.get("prune/visual")
    if kept is not None and visual and kept < visual:
        yield "draft sees", f"{kept:.0f} of {visual:.0f} visual tokens"


def plus_minus(metric: Metric, summary: Summary) -> str:
    """The value of a metric that is defined, with its standard error if that is."""
    value, error = metric.written(summary.values[metric.name]), summary.errors.get(metric.name)
    return value if error is None else f"{value} {error_of(metric, error)}"


def error_of(metric: Metric, error: float) -> str:
    """A standard error, as it stands behind the value."""
    written = metric.written(error).rstrip("x%")
    return f"±{written.removeprefix('0') if written.startswith('0.') else written}"


def _number(summary: Summary, name: str) -> str:
    return plus_minus(_metric(name), summary)


def _metric(name: str) -> Metric:
    metric = metric_of(name)
    assert metric is not None, name
    return metric
