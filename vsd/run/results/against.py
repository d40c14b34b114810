"""Several runs against one, in one table: a line a run, its differences on the samples in common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from vsd.run.report.headline import error_of
from vsd.run.results.cells import cell, heading, written
from vsd.run.results.comparison import Difference, compared
from vsd.run.results.dials import brief, varying
from vsd.run.results.fitted import Fitted, least_width
from vsd.run.results.run import Run

METRICS = (
    "speed/decode",
    "accept/draft_length",
    "quality/retention",
    "speed/end_to_end",
    "parallel/wasted",
    "prune/kept",
    "exact/mismatched",
)
MARKED = "* told apart from the first line, on the samples that both have (95%); a speed as a ratio"
COLOURS = {"better": "green", "worse": "red", "higher": "yellow", "lower": "yellow"}


def against(first: Run, others: Sequence[Run], names: Sequence[str] = METRICS) -> Fitted:
    """For a terminal: the first run's values, and how the others differ from them, by what tells the runs apart. A
    metric that no other one shares is left out."""
    rows = [{each.metric.name: each for each in compared(first, other, names)} for other in others]
    shared = [name for name in dict.fromkeys(names) if any(name in row for row in rows)]
    short = {heading(name): name for name in shared}

    def of(columns: Sequence[str]) -> Table:
        return _table(first, others, rows, [short[column] for column in columns])

    return Fitted(make=of, columns=[*short], note=MARKED)


def _table(first: Run, others: Sequence[Run], rows: Sequence[Mapping[str, Difference]], names: Sequence[str]) -> Table:
    found = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    found.add_column("job", justify="right", overflow="fold")
    dials = varying([first, *others])
    for name, column in zip(brief([*dials]), dials.values(), strict=True):
        least = least_width(name, [*map(written, column)])
        found.add_column(escape(name), overflow="fold", min_width=least)
    for name in names:
        found.add_column(heading(name), justify="right", no_wrap=True)
    settings = [[escape(written(column[place])) for column in dials.values()] for place in range(len(others) + 1)]
    found.add_row(escape(first.folder.name), *settings[0], *(f"{cell(first.summary, name)} " for name in names))
    for other, row, setting in zip(others, rows, settings[1:], strict=True):
        found.add_row(escape(other.folder.name), *setting, *(_cell(row.get(name)) for name in names))
    return found


def _cell(found: Difference | None) -> str:
    if found is None:
        return "– "
    if found.verdict == "the same":
        return "[dim]same[/] "
    colour = COLOURS.get(found.verdict)
    text = _short(found)
    return f"[{colour}]{text}*[/]" if colour else f"[dim]{text}[/] "


def _short(each: Difference) -> str:
    """A difference with its standard error, as precise as the first line's values are."""
    metric, by = each.metric, each.by
    times = replace(metric, unit="times") if each.as_ratio else metric
    sign = "" if each.as_ratio else "+" if by.value >= 0 else "−"
    value = f"{sign}{times.written(max(0.0, by.value) if each.as_ratio else abs(by.value))}"
    return value if math.isnan(by.error) else f"{value} {error_of(times, by.error)}"


def by_text(each: Difference, value: float) -> str:
    """A value of the difference, as tables have it."""
    if each.as_ratio:
        return f"{max(0.0, value):.3f}x"
    return f"{'+' if value >= 0 else '−'}{each.metric.written(abs(value))}"


def error_text(each: Difference) -> str:
    """Its standard error, behind a sign; empty where there is none."""
    if math.isnan(each.by.error):
        return ""
    return f" ± {each.by.error:.3f}" if each.as_ratio else f" ± {each.metric.written(each.by.error)}"
