"""The pictures of a page: curves by dials, the Pareto front, where the time goes, acceptance by position, drafts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from vsd.metrics import metric_of
from vsd.metrics.registry import Sums
from vsd.metrics.sums import pooled
from vsd.run.html.chart import COLOURS, GREY, Chart, inline, page_style
from vsd.run.html.names import Names
from vsd.run.html.times import SPANS, alone, spans
from vsd.run.results.cells import shortened, written
from vsd.run.results.curves import draw, fit_words, grouped, label_axes, measured, widen
from vsd.run.results.dials import varying
from vsd.run.results.pareto import front
from vsd.run.results.run import Run
from vsd.utils.validation import is_number

LINES = 8  # in one chart: more cannot be told apart
BARS = 24  # rows of one chart
CURVES = 12  # charts of curves
QUALITIES = ("quality/retention", "quality/agreement", "quality/rouge_l")
_WIDTH, _HEIGHT = 4.2, 3.2  # inches
_ACROSS = 36  # letters side by side


def charts(runs: Sequence[Run], names: Names) -> Iterator[Callable[[], list[Chart]]]:
    """What there is to draw of these runs, each when it is asked for: one that fails costs no more than itself."""
    for each in (curves, pareto, times, positions, drafts):
        yield partial(each, runs, names)


def curves(runs: Sequence[Run], names: Names) -> list[Chart]:
    """Speed, acceptance and quality by each dial of numbers that varies; by the one of most values if all are words."""
    dials = {name: {repr(value) for value in column} for name, column in varying(runs).items()}
    axes = [name for name in dials if sum(is_number(value) for value in varying(runs)[name]) > 1]
    axes = axes or sorted(dials, key=lambda name: -len(dials[name]))[:1]
    ys = [name for name in ("speed/decode", "accept/draft_length", quality_of(runs)) if name]
    every = [
        (x, y, title, part)
        for x in axes
        for title, part in _parts(runs, [name for name in dials if name != x])
        for y in ys
        if any(y in run.summary.values for run in part)
    ]
    found = list[Chart]()
    for x, y, title, part in every[:CURVES]:
        with page_style():
            above = f"{_label(y)} by {x}" + (f", {title}" if title else "")
            lines = [name for name in varying(part) if name != x]
            notes = [f"Each of its own colour: {', '.join(lines)}."] if lines else []
            notes += [_more(len(every) - CURVES, "vsd plot")] if len(found) + 1 == CURVES else []
            svg = inline(_fitted(draw(part, x=x, ys=[y])), above)
            found.append(Chart(title=above, svg=svg, note=" ".join([*notes, "Bars are one standard error."]).strip()))
    return found


def pareto(runs: Sequence[Run], names: Names) -> list[Chart]:
    """Speed against quality, where quality differs."""
    quality, speed = quality_of(runs), "speed/decode"
    known = [run for run in runs if quality in run.summary.values and speed in run.summary.values]
    if not quality and len([run for run in runs if speed in run.summary.values]) > 1:
        why = "Quality is the same in all runs: the front of speed and quality is the fastest run alone."
        return [Chart(title="Pareto front", svg=Markup(""), note=why)]
    if len(known) < 2:
        return []
    points = [(measured(run.summary, quality), measured(run.summary, speed)) for run in known]
    best = front([(run.summary.values[quality], run.summary.values[speed]) for run in known])
    with page_style():
        figure, axis = _figure()
        for place, (run, (x, y)) in enumerate(zip(known, points, strict=True)):
            assert x is not None
            assert y is not None
            colour = COLOURS[0] if place in best else GREY
            face = colour if place in best else "none"
            axis.errorbar(
                [x.at], [y.at], xerr=[x.error], yerr=[y.error], fmt="o", color=colour, mfc=face, elinewidth=0.8,
                markersize=6,
            )  # fmt: skip
            axis.annotate(
                shortened(names.short(run)), (x.at, y.at), (5, 4), textcoords="offset points", fontsize="small"
            )
        line = sorted((run.summary.values[quality], run.summary.values[speed]) for run in (known[i] for i in best))
        axis.plot(*zip(*line, strict=True), color=COLOURS[0], linewidth=1, linestyle="--")
        label_axes(axis, quality, speed)
        title = f"Pareto front: {_label(speed)} against {_label(quality)}"
        on = ", ".join(names.long(known[place]) for place in best)
        note = f"Filled: on the front, by the values alone ({on}). Bars are one standard error."
        return [Chart(title=title, svg=inline(figure, title), note=note)]


def times(runs: Sequence[Run], names: Names) -> list[Chart]:
    """Mean seconds of a sample, step upon step, beside the target alone."""
    rows = [(names.brief(run), spans(run)) for run in runs if run.summary.values.get("samples/done")]
    base = next(((run, found) for run in runs if (found := alone(run))), None)
    if base:
        whose = "" if len(rows) == 1 else f" ({names.short(base[0])})"
        rows = [
            (shortened(f"target alone{whose}"), base[1]),
            *([("speculative", rows[0][1])] if len(rows) == 1 else rows),
        ]
    note = "What draft and pruning took within the target's prefill is not shown apart."
    hidden = any(found.get("hidden") for _, found in rows)
    title = "Where the time goes: mean seconds of a sample"
    return _stacked(rows, SPANS, title, "seconds", note if hidden else "")


def positions(runs: Sequence[Run], names: Names) -> list[Chart]:
    """How much is accepted at each place of a draft."""
    curves = [(run, found) for run in runs if (found := _positions(run))]
    if not curves:
        return []
    with page_style():
        figure, axis = _figure()
        for number, (run, found) in enumerate(curves[:LINES]):
            shift = (number - (min(len(curves), LINES) - 1) / 2) * 0.06  # bars of several runs stand beside each other
            axis.errorbar(
                [place + shift for place, *_ in found],
                [100 * value for _, value, _ in found],
                yerr=[[100 * end[side] for *_, end in found] for side in (0, 1)],
                label=names.brief(run), marker="o", markersize=3.5, linewidth=1.2, capsize=2,
            )  # fmt: skip
        axis.set_xlabel("place in the draft", fontsize="small")
        axis.set_ylabel("accepted, percent", fontsize="small")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        if len(curves) > 1:
            _legend(figure)
        title = "Acceptance by position"
        note = "Of the tokens that were tested there. Bars are 95% intervals. "
        note += _more(len(curves) - LINES, "metrics.json", "run")
        return [Chart(title=title, svg=inline(figure, title), note=note.strip())]


def drafts(runs: Sequence[Run], names: Names) -> list[Chart]:
    """What became of the drafted tokens."""
    rows = []
    for run in runs:
        sums = Sums(pooled(run.videos.values()))
        if proposed := float(sums["proposed"]):
            accepted, rejected, wasted = (100 * float(sums[k]) / proposed for k in ("accepted", "rejected", "wasted"))
            rest = max(0.0, 100 - accepted - wasted)
            parts = (min(accepted, 100), min(rejected, wasted), max(0.0, wasted - rejected), rest)
            rows.append((names.brief(run), dict(zip(DRAFTS, parts, strict=True))))
    return _stacked(rows, DRAFTS, "What became of the drafted tokens", "percent of all that was drafted", "")


DRAFTS = ("accepted", "rejected", "wasted without a test", "left at the end")


def quality_of(runs: Sequence[Run]) -> str:
    """The first measure of quality in which these runs differ; empty if they do not."""
    for name in QUALITIES:
        if len({run.summary.values[name] for run in runs if name in run.summary.values}) > 1:
            return name
    return ""


def _positions(run: Run) -> list[tuple[int, float, tuple[float, float]]]:
    """(place, share accepted, distances to the ends of its interval) in order."""
    found = list[tuple[int, float, tuple[float, float]]]()
    while (name := f"accept/position_{len(found) + 1}") in run.summary.values:
        value = run.summary.values[name]
        low, high = run.summary.intervals.get(name, (value, value))
        found.append((len(found) + 1, value, (max(0.0, value - low), max(0.0, high - value))))
    return found


def _parts(runs: Sequence[Run], lines: Sequence[str]) -> Iterator[tuple[str, Sequence[Run]]]:
    """The runs in charts of few enough lines, each with what is the same in it: one dial after the other is set."""
    if len(grouped(runs, lines)) <= LINES:
        yield "", runs
        return
    widest = max(lines, key=lambda name: len(grouped(runs, [name])))
    for value, inside in grouped(runs, [widest]).items():
        for title, part in _parts(inside, [name for name in lines if name != widest]):
            yield ", ".join(filter(None, (f"{widest}={written(value)}", title))), part


def _stacked(
    rows: Sequence[tuple[str, dict[str, float]]], parts: Sequence[str], title: str, unit: str, note: str
) -> list[Chart]:
    """Bars of the parts, one upon the other, from top to bottom in the order of the rows."""
    shown = rows[:BARS]
    if not any(values.get(part) for _, values in shown for part in parts):
        return []
    with page_style():
        figure, axis = _figure(1.6 + 0.3 * len(shown))
        left = [0.0] * len(shown)
        for number, part in enumerate(parts):
            widths = [values.get(part, 0.0) for _, values in shown]
            if max(widths) > 1e-3 * max(sum(values.values()) for _, values in shown):
                places = range(len(shown))
                axis.barh(places, widths, 0.7, left, label=part.replace("_", " "), color=COLOURS[number % len(COLOURS)])
                left = [a + b for a, b in zip(left, widths, strict=True)]
        axis.set_yticks(range(len(shown)), [name for name, _ in shown], fontsize="small")
        axis.invert_yaxis()
        axis.set_xlabel(unit, fontsize="small")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25, axis="x")
        _legend(figure)
        said = " ".join(filter(None, (note, _more(len(rows) - BARS, "metrics.json", "run"))))
        return [Chart(title=title, svg=inline(figure, title), note=said)]


def _fitted(figure: Any) -> Any:
    """The figure with words at its axis and in its legend as long as there is room for."""
    fit_words(figure.axes[0])
    for text in figure.legends[0].get_texts() if figure.legends else ():
        text.set_text(shortened(text.get_text()))
    widen(figure)
    return figure


def _figure(height: float = _HEIGHT) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _legend(figure: Any) -> None:
    """Above the picture, in two columns if the names are short enough."""
    labels = {label for axis in figure.axes for label in axis.get_legend_handles_labels()[1]}
    columns = 2 if 2 * max(map(len, labels), default=0) <= _ACROSS + 10 else 1
    figure.legend(loc="outside upper left", ncols=columns, fontsize="small", frameon=False)


def _label(name: str) -> str:
    metric = metric_of(name)
    return metric.label if metric else name


def _more(count: int, where: str, what: str = "chart") -> str:
    if count <= 0:
        return ""
    return f"{count} more {what}{' is' if count == 1 else 's are'} left out: see {where}."
