"""A plan on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from statistics import median

from rich.markup import escape
from rich.table import Table

from vsd.models.room import gib
from vsd.run.dry_run.plan import Plan
from vsd.run.report.printable import printable

_NAMED = 3  # of many


def screen(plan: Plan, out: str) -> Table:
    """What a person asks before a long run, in this order; `out` says where it would write, if that is known."""
    table = Table.grid(padding=(0, 2))
    writes = [("writes", escape(printable(out)))] if out else []
    for name, said in [*_lines(plan), *writes, ("", "[dim]a dry run: nothing done[/]")]:
        table.add_row(f"[bold]{name}[/]", said)
    return table


def _lines(plan: Plan) -> Iterator[tuple[str, str]]:
    videos = len({one.sample.video for one in plan.asked})
    done = f", {plan.finished} are finished" if plan.finished else ""
    yield "samples", f"{len(plan.asked)} of {plan.samples} to decode, of {videos} videos{done}"
    for reason, ids in _by_reason(plan.failures).items():
        yield "", f"[red]{_some(ids)}[/]: {escape(printable(reason))}"
    if plan.asked:
        yield "prompts", _prompts(plan)
    yield from _memory(plan)
    yield "time", _time(plan)


def _prompts(plan: Plan) -> str:
    visual = sorted(one.visual for one in plan.asked)
    longest = max(one.visual + one.text["target"] for one in plan.asked)
    spread = f"{visual[0]:,}" if visual[0] == visual[-1] else f"{visual[0]:,} to {visual[-1]:,}"
    middle = "" if visual[0] == visual[-1] else f" ({median(visual):,.0f} in the middle)"
    return f"{spread} visual tokens{middle}, {longest:,} tokens in the longest"


def _memory(plan: Plan) -> Iterator[tuple[str, str]]:
    """A line for each set of devices that models are spread over."""
    label = "memory"
    for devices in dict.fromkeys(need.devices for need in plan.needs):
        parts = [
            f"{need.role} {gib(need.weights)} of weights, {gib(need.cache)} of cache"
            for need in plan.needs
            if need.devices == devices
        ]
        known = [plan.free[name] for name in devices if name in plan.free]
        room = f" [dim]({gib(sum(known))} free)[/]" if len(known) == len(devices) else ""
        yield label, f"{', '.join(sorted(devices))}: {'; '.join(parts)}{room}"
        label = ""
    if plan.crowded:
        yield "", f"[red]the longest does not fit[/]: {escape(plan.crowded)}"


def _time(plan: Plan) -> str:
    if isinstance(plan.duration, str):
        return plan.duration
    alone = plan.duration.baseline_s
    beside = f", {_duration(alone)} of it the target alone (baseline=false leaves that out)" if alone else ""
    return (
        f"about [bold]{_duration(plan.duration.total_s)}[/] for whole answers{beside}\n"
        f"[dim]by {escape(printable(plan.duration.source))}; loading and reading videos come on top[/]"
    )


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    return f"{seconds:.0f} s" if seconds < 100 else str(timedelta(seconds=round(seconds)))


def _by_reason(failures: Mapping[str, str]) -> dict[str, list[str]]:
    found = dict[str, list[str]]()
    for name, reason in failures.items():
        found.setdefault(reason, []).append(name)
    return found


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(map(printable, ids[:_NAMED]))
    return escape(shown if len(ids) <= _NAMED else f"{shown} and {len(ids) - _NAMED} more")
