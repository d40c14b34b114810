"""Runs as a table: a column for each dial that differs and for each metric, the best marked; for a terminal, Markdown,
LaTeX or a CSV file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table as RichTable

from vsd.metrics import metric_of
from vsd.metrics.resampling import NOT_DRAWN
from vsd.run.report.printable import printable
from vsd.run.results.cells import STATES, cell, heading, written
from vsd.run.results.comparison import compared
from vsd.run.results.dials import brief, varying
from vsd.run.results.fitted import Fitted, least_width
from vsd.run.results.run import Run

Format = Literal["markdown", "latex", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
LEAST = 5  # videos, of which fewer tell next to nothing apart
MARKED = "bold: the best of a column, and what is not told apart from it, where all have the same samples"
_LATEX = str.maketrans(
    {sign: rf"\{sign}" for sign in "${}_%&#"} | {"±": r"$\pm$", "–": "--", "×": r"$\times$", "~": r"\textasciitilde{}"}
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Runs in rows. `dials` are the columns that tell them apart, `metrics` those of numbers, and `best` says by metric
    which rows stand out."""

    runs: Sequence[Run]
    dials: dict[str, list[Any]]
    metrics: tuple[str, ...]
    best: dict[str, frozenset[int]]

    def rows(self) -> list[list[tuple[str, bool]]]:
        """The cells of each run, each with whether it is marked."""
        found = []
        for place, run in enumerate(self.runs):
            cells = [(written(column[place]), False) for column in self.dials.values()]
            cells += [(cell(run.summary, name), place in self.best[name]) for name in self.metrics]
            found.append(cells)
        return found

    @property
    def head(self) -> list[str]:
        return [*self.dials, *map(heading, self.metrics)]


def table_of(runs: Sequence[Run], metrics: Sequence[str], *, mark: bool = True) -> Table:
    """The table of these runs, the best marked if that is wanted. A metric that no run has is left out."""
    names = tuple(name for name in metrics if any(name in run.summary.values for run in runs))
    best = {name: _best(runs, name) if mark else frozenset[int]() for name in names}
    return Table(runs=runs, dials=varying(runs), metrics=names, best=best)


def rich(table: Table, title: str = "") -> Fitted:
    """For a terminal, which may be too narrow for all metrics."""
    short = {heading(name): name for name in table.metrics}

    def of(columns: Sequence[str]) -> RichTable:
        return _rich(replace(table, metrics=tuple(short[name] for name in columns)), title)

    return Fitted(make=of, columns=[*short], note=f"*, {MARKED}" if any(table.best.values()) else "")


def _rich(table: Table, title: str) -> RichTable:
    found = RichTable(title=escape(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    found.add_column("job", justify="right", overflow="fold")
    for name, column in zip(brief([*table.dials]), table.dials.values(), strict=True):
        least = least_width(name, [*map(written, column)])
        found.add_column(escape(name), overflow="fold", min_width=least)
    for name in table.metrics:
        found.add_column(heading(name), justify="right", no_wrap=True)
    for run, row in zip(table.runs, table.rows(), strict=True):
        # A star too: colours and bold letters are lost in a file.
        cells = [f"[bold]{escape(text)}*[/]" if mark else f"{escape(text)} " for text, mark in row]
        found.add_row(escape(run.folder.name), *cells)
    return found


def troubles(runs: Sequence[Run]) -> list[str]:
    """A line for each run that did not end well, for a terminal."""
    lines = []
    for run in runs:
        if run.state != "done":
            why = escape(printable(run.error)) or {"unfinished": "did not finish"}.get(run.state, run.state)
            lines.append(f"[{STATES[run.state]}]job {escape(run.folder.name)}[/]  {why}")
    return lines


def text(table: Table, form: Format) -> str:
    """For a file."""
    return {"markdown": _markdown, "latex": _latex, "csv": _csv}[form](table)


def _best(runs: Sequence[Run], name: str) -> frozenset[int]:
    """The rows with the best value, and those that are not told apart from it; none where nothing differs."""
    metric = metric_of(name)
    if name.startswith("samples/"):
        return frozenset()
    have = [place for place, run in enumerate(runs) if name in run.summary.values]
    if metric is None or metric.better == "neither" or len({runs[place].summary.values[name] for place in have}) < 2:
        return frozenset()
    choose = max if metric.better == "higher" else min
    best = choose(have, key=lambda place: runs[place].summary.values[name])
    if any(_asked(runs[place]) != _asked(runs[best]) for place in have) or len(runs[best].videos) < LEAST:
        return frozenset()
    if name.startswith(NOT_DRAWN):  # counts of this very run
        return frozenset(place for place in have if runs[place].summary.values[name] == runs[best].summary.values[name])
    return frozenset(place for place in have if place == best or _as_good(runs[best], runs[place], name))


def _as_good(best: Run, other: Run, name: str) -> bool:
    return any(found.verdict != "worse" for found in compared(best, other, [name]))


def _asked(run: Run) -> set[tuple[str, str]]:
    """What was decoded: numbers of other samples cannot be held against each other."""
    return {(record.sample.id, record.sample.question) for record in run.records if record.done}


def _markdown(table: Table) -> str:
    lines = [table.head, ["---"] * len(table.dials) + ["---:"] * len(table.metrics)]
    rows = [[(one.replace("|", r"\|"), mark) for one, mark in row] for row in table.rows()]
    lines += [[f"**{one}**" if mark else one for one, mark in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{MARKED}\n"


def _latex(table: Table) -> str:
    """With booktabs."""
    align = "".join(map(_side, table.dials.values())) + "r" * len(table.metrics)
    rows = [[rf"\textbf{{{_escaped(one)}}}" if mark else _escaped(one) for one, mark in row] for row in table.rows()]
    body = [" & ".join(row) + r" \\" for row in rows]
    head = " & ".join(map(_escaped, table.head)) + r" \\"
    counts = [sum(record.done for record in run.records) for run in table.runs]
    samples = " to ".join(map(str, dict.fromkeys((min(counts), max(counts)))))
    told = f"% {samples} samples each; needs booktabs"
    begin = [f"% {MARKED}", told, rf"\begin{{tabular}}{{{align}}}", r"\toprule", head, r"\midrule"]
    return "\n".join([*begin, *body, r"\bottomrule", r"\end{tabular}", ""])


def _side(column: Sequence[Any]) -> str:
    """Where a dial's values stand in their column: numbers to the right."""
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in column)
    return "r" if numbers else "l"


def _escaped(one: str) -> str:
    """A cell as LaTeX has it, its numbers as papers do: 1.57$\\times$ $\\pm$ 0.03."""
    whole = re.sub(r"(?<![\d.])\.(?=\d)", "0.", one)
    return re.sub(r"(?<=\d)x\b", "×", whole).translate(_LATEX)


def _csv(table: Table) -> str:
    """Every number in full, with its standard error and interval."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    ends = [f"{name}{end}" for name in table.metrics for end in ("", "_se", "_low", "_high")]
    writer.writerow(["folder", "state", "error", *table.dials, *ends])
    for place, run in enumerate(table.runs):
        flat = run.summary.flat()
        dials = [written(column[place]) for column in table.dials.values()]
        writer.writerow([str(run.folder), run.state, run.error, *dials, *(flat.get(name, "") for name in ends)])
    return stream.getvalue()
