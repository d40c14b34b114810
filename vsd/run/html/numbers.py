"""The headline and the tables of a page, from the same metrics and in the same words as the terminal's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from rich.console import Console
from rich.text import Text

from vsd.metrics import Metric, Summary, metric_of
from vsd.run.html.names import Names
from vsd.run.report.faults import faults
from vsd.run.report.headline import headline, plus_minus
from vsd.run.report.printable import plain, printable
from vsd.run.report.terminal import rows
from vsd.run.results.cells import STATES, heading
from vsd.run.results.run import Run
from vsd.run.results.table import table_of
from vsd.run.results.verdict import exactness, verifier_of


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number as tables have it, its 95% interval, and whether it is the best of its column."""

    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """A run in a table: its folder, how it ended and in which colour that is said, its dials and numbers."""

    name: str
    state: str
    colour: str
    done: str
    dials: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class RunsTable:
    """All runs of a page."""

    dials: tuple[str, ...]
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    marked: bool

    @property
    def heads(self) -> list[tuple[str, str]]:
        """Each metric's narrow heading, and what it is."""
        return [(heading(metric.name), f"{metric.name}: {metric.formula}") for metric in self.metrics]


def marked_up(text: str) -> Markup:
    """A line of the terminal's as HTML: colours and weights are classes."""
    found = Markup("")
    for segment in Text.from_markup(text, emoji=False).render(Console(width=10_000)):
        style = segment.style
        colour = style.color.name if style and style.color else ""
        words = [*([colour] if colour else []), *(["bold"] if style and style.bold else [])]
        piece = Markup('<span class="{}">{}</span>').format(" ".join(words), segment.text) if words else segment.text
        found += piece  # += escapes what is no Markup
    return found


def lines_of_run(run: Run) -> list[tuple[str, Markup]]:
    """What is asked of a run first; and what is wrong with it."""
    rule = verifier_of(run)
    lossless = rule is not None and rule.lossless
    matters = lossless and rule is not None and rule.deterministic
    found = headline(run.summary, lossless=lossless, mismatched_matters=matters)
    unknown = "[yellow]unknown rule[/]  its verifier cannot be loaded here, so what it promises is not known"
    wrong = faults(run.records, run.summary, rule) if rule else [unknown] if run.summary.values else []
    return [(name, marked_up(said)) for name, said in [*found, *_ended([run]), *(("", each) for each in wrong)]]


def lines_of_runs(runs: Sequence[Run], names: Names) -> list[tuple[str, Markup]]:
    """What is asked of several runs first: are they exact, which is the fastest, at which price."""
    found = [*_ended(runs), *exactness(runs), *_fastest(runs, names)]
    for run in runs:
        rule = verifier_of(run)
        found += [(names.short(run), each) for each in (faults(run.records, run.summary, rule) if rule else [])]
    return [(name, marked_up(said)) for name, said in found]


def table_of_runs(runs: Sequence[Run], names: Names, columns: Sequence[str]) -> RunsTable:
    """A row a run, with these metrics, as far as any has them."""
    table = table_of(runs, columns)
    found = []
    for run, cells in zip(runs, table.rows(), strict=True):
        ours = [text for text, _ in cells[: len(table.dials)]]
        numbers = [
            Cell(text=text, interval=_interval(run.summary, name), best=best)
            for name, (text, best) in zip(table.metrics, cells[len(table.dials) :], strict=True)
        ]
        done = f"{sum(record.done for record in run.records)}/{len(run.records)}"
        dials, state = tuple(map(printable, ours)), run.state
        row = Row(
            name=names.short(run), state=state, colour=STATES[state], done=done, dials=dials, cells=tuple(numbers)
        )
        found.append(row)
    known = tuple(metric for name in table.metrics if (metric := metric_of(name)))
    return RunsTable(dials=tuple(table.dials), metrics=known, rows=tuple(found), marked=any(table.best.values()))


def numbers_of_run(run: Run) -> list[tuple[Metric, str, str, str]]:
    """Each number of a run's screen: the metric, its value, its standard error, its interval."""
    found, summary = list[tuple[Metric, str, str, str]](), run.summary
    for metric in rows(summary.values):
        error = metric.written(summary.errors[metric.name]) if metric.name in summary.errors else ""
        value = metric.written(summary.values[metric.name])
        found.append((metric, value, error, _interval(summary, metric.name)))
    return found


def _interval(summary: Summary, name: str) -> str:
    metric = metric_of(name)
    if metric is None or name not in summary.intervals:
        return ""
    return " to ".join(metric.written(end) for end in summary.intervals[name])


def _ended(runs: Sequence[Run]) -> Iterator[tuple[str, str]]:
    """How many ended, where that is not all."""
    others = [run for run in runs if run.state != "done"]
    if len(runs) > 1:
        counts = {state: sum(run.state == state for run in runs) for state in STATES}
        said = ", ".join(f"[{STATES[s]}]{count} {s}[/]" for s, count in counts.items() if count)
        yield "runs", f"{len(runs)}: {said}"
    elif others:
        said = {"unfinished": "it is still at work, or was killed"}.get(others[0].state, "")
        yield "run", f"[{STATES[others[0].state]}]{others[0].state}[/]" + (f": {said}" if said else "")


def _fastest(runs: Sequence[Run], names: Names) -> Iterator[tuple[str, str]]:
    name = "speed/decode"
    known = [run for run in runs if name in run.summary.values]
    if not known:
        return
    table = table_of(known, [name])
    best = max(known, key=lambda run: run.summary.values[name])
    yield "fastest", f"{plain(names.long(best))}: {_said(best)}"
    others = [known[place] for place in sorted(table.best[name]) if known[place] is not best]
    if others:
        yield (
            "",
            f"not told apart from it: {plain('; '.join(names.long(run) for run in others[:4]))}"
            + (f" and {len(others) - 4} more" if len(others) > 4 else ""),
        )
    exact = [run for run in known if run.summary.values.get("exact/mismatched") == 0]
    if exact and best not in exact:
        same = max(exact, key=lambda run: run.summary.values[name])
        yield "fastest, exact", f"{plain(names.long(same))}: {_said(same)}"


def _said(run: Run) -> str:
    """Its headline in one line."""
    values, said = run.summary.values, {"speed/decode": "decoding", "speed/end_to_end": "whole answers"}
    if values.get("exact/mismatched") and "quality/retention" in values:
        said["quality/retention"] = "percent of the target's quality"
    elif values.get("exact/mismatched"):
        said["quality/agreement"] = "of the tokens like the target's"
    numbers = [(metric_of(name), word) for name, word in said.items() if name in values]
    return ", ".join(f"[bold]{plus_minus(metric, run.summary)}[/] {word}" for metric, word in numbers if metric)
