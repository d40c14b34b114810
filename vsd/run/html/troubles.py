"""What went wrong, by reason: failures and warnings of samples, and runs that did not end well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vsd.metrics.record import Record
from vsd.run.html.names import Names
from vsd.run.report.printable import printable
from vsd.run.results.cells import STATES
from vsd.run.results.run import Run

REASONS = 20  # that are shown
_IDS = 5  # samples that are named with each


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One reason, of which kind and in which colour that is said, how often it came, and where first."""

    kind: str
    colour: str
    reason: str
    count: int
    where: str


def troubles(runs: Sequence[Run], names: Names) -> tuple[list[Trouble], int]:
    """Runs, failures, then warnings, the most frequent reason of each first; and how many reasons are left out."""
    found = [*_runs(runs, names), *_samples(runs, names, "failed"), *_samples(runs, names, "warning")]
    return found[:REASONS], max(0, len(found) - REASONS)


def _runs(runs: Sequence[Run], names: Names) -> Iterator[Trouble]:
    groups = dict[tuple[str, str], list[str]]()
    for run in runs:
        if run.error:
            groups.setdefault((run.state, printable(run.error)), []).append(names.short(run))
    for (state, reason), where in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        colour = next((colour for name, colour in STATES.items() if name == state), "")
        yield Trouble(kind=f"run {state}", colour=colour, reason=reason, count=len(where), where=_named(where))


def _samples(runs: Sequence[Run], names: Names, kind: str) -> Iterator[Trouble]:
    groups = dict[str, list[str]]()
    for run in runs:
        for record in run.records:
            name = record.sample.id if len(runs) == 1 else f"{names.short(run)}: {record.sample.id}"
            for reason in (record.failure,) if kind == "failed" else record.warnings:
                if reason:
                    groups.setdefault(printable(_common(reason, record)), []).append(printable(name))
    for reason, where in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        colour = "red" if kind == "failed" else "yellow"
        yield Trouble(kind=kind, colour=colour, reason=reason, count=len(where), where=_named(where))


def _common(reason: str, record: Record) -> str:
    """The reason without what is the sample's own in it, so that those of many samples are one."""
    for own, stands_for in ((record.sample.video, "VIDEO"), (record.sample.id, "ID")):
        reason = reason.replace(own, stands_for) if len(own) > 2 else reason
    return reason


def _named(where: Sequence[str]) -> str:
    more = len(where) - _IDS
    return ", ".join(where[:_IDS]) + (f" and {more} more" if more > 0 else "")
