"""Several runs against one, in one table: a line a run, its differences on the samples in common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from vsd.run.results.cells import cell, heading, written
from vsd.run.results.comparison import Difference, compared
from vsd.run.results.dials import varying
from vsd.run.results.fitted import NARROW, Fitted
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

    return Fitted(make=of, columns=[*short])


def _table(first: Run, others: Sequence[Run], rows: Sequence[Mapping[str, Difference]], names: Sequence[str]) -> Table:
    found = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, caption=MARKED, caption_justify="left")
    found.add_column("job", justify="right")
    dials = varying([first, *others])
    for name, column in dials.items():
        widest = max(len(written(value)) for value in (name, *column))
        found.add_column(escape(name), overflow="fold", min_width=min(widest, NARROW))
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
    text = f"{by_text(found, found.by.value)}{error_text(found)}"
    return f"[{colour}]{text}*[/]" if colour else f"[dim]{text}[/] "


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
