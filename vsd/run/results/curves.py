"""Curves over runs with error bars: a dial or a metric against metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from vsd.metrics import METRICS, Summary, metric_of
from vsd.run.results.cells import check_metrics, shortened, written
from vsd.run.results.dials import brief, dials_of, varying
from vsd.run.results.run import Run
from vsd.utils.validation import is_number

_SIZE = (4.2, 3.2)  # inches of a panel
_LETTER, _SIGN = 0.075, 0.45  # inches of a legend's letter, and of what stands before it
_ACROSS = 36  # letters side by side below a panel
_MARKERS = "osD^vP*X<>"


@dataclass(frozen=True, kw_only=True)
class Point:
    """A run's place on an axis, and half the length of its bar; text where a dial is none of numbers."""

    at: Any
    error: float = 0.0


def draw(
    runs: Sequence[Run],
    *,
    x: str,
    ys: Sequence[str],
    by: str | None = None,
    facet: str | None = None,
    log: str | None = None,
) -> Any:
    """The figure (matplotlib's). Raises ValueError for what no run has."""
    from matplotlib.figure import Figure

    check_metrics("--y", ys)
    if not runs:
        raise ValueError("FOLDER: must hold a run with samples, got none")
    for name in ys:
        if not any(name in run.summary.values for run in runs):
            raise ValueError(f"--y: must be a metric that one of these runs has, got {name!r}")
    tables = [dials_of(run) for run in runs]
    dials = [*dict.fromkeys(name for table in tables for name in table)]
    x = x if metric_of(x) is not None else _dial("--x", x, dials, ("a dial of these runs or a metric", METRICS))
    by, facet = (name and _dial(option, name, dials) for option, name in (("--by", by), ("--facet", facet)))
    panels = grouped(runs, [facet] if facet else [])
    figure = Figure(figsize=(_SIZE[0] * len(panels), _SIZE[1] * len(ys)), layout="constrained")
    axes = figure.subplots(len(ys), len(panels), squeeze=False, sharex=True)
    lines = [by] if by else [name for name in varying(runs) if name not in (x, facet)]
    labels = {label: number for number, label in enumerate(grouped(runs, lines))}
    for column, (title, inside) in enumerate(panels.items()):
        for row, name in enumerate(ys):
            axis = axes[row][column]
            _panel(axis, grouped(inside, lines), x, name, labels)
            axis.set_title(title if not row else "")
            label_axes(axis, x if row == len(ys) - 1 else "", name if not column else "")
            if log:
                axis.set(**{f"{which}scale": "log" for which in ("x", "y") if log in (which, "both")})
    for axis in axes[-1]:
        fit_words(axis)
    drawn = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if any(drawn):
        look = {"fontsize": "small", "title_fontsize": "small", "frameon": False}
        title = ", ".join(brief(lines))
        figure.legend(drawn.values(), drawn.keys(), title=title, loc="outside right upper", **look)  # over no curve
        widen(figure, len(panels))
    return figure


def _dial(
    option: str, name: str, dials: Sequence[str], rule: tuple[str, Iterable[str]] = ("a dial of these runs", ())
) -> str:
    """The dial of this name, or whose last word it is. Raises ValueError, by a `rule` and the names that it allows
    beside dials."""
    last = [dial for dial in dials if dial.rpartition(".")[2] == name]
    if name in dials or len(last) == 1:
        return name if name in dials else last[0]
    known = {word: dial for dial in (*rule[1], *dials) for word in (dial.rpartition(".")[2], dial)}
    near = last[:1] or [known[word] for word in get_close_matches(name, known, n=1, cutoff=0.65)]
    raise ValueError(f"{option}: must be {rule[0]}{f' (did you mean {near[0]}?)' if near else ''}, got {name!r}")


def fit_words(axis: Any) -> None:
    """Words at the x axis aslant and as long as there is room for, if they would stand over one another."""
    words = [label.get_text() for label in axis.get_xticklabels()] if axis.xaxis.have_units() else []
    if sum(map(len, words)) > _ACROSS:
        axis.set_xticks(range(len(words)), list(map(shortened, words)), rotation=30, ha="right")


def widen(figure: Any, panels: int = 1) -> None:
    """Make room beside the panels for what the legend says."""
    longest = max((len(text.get_text()) for legend in figure.legends for text in legend.get_texts()), default=0)
    figure.set_figwidth(_SIZE[0] * panels + _LETTER * longest + (_SIGN if longest else 0))


def _panel(axis: Any, groups: Mapping[str, Sequence[Run]], x: str, y: str, labels: Mapping[str, int]) -> None:
    """The lines of one panel; a label has its colour and marker in all of them."""
    for label, runs in groups.items():
        number = labels[label]
        points = [(_point(run, x), _point(run, y)) for run in runs]
        known = [(a, b) for a, b in points if a is not None and b is not None]
        in_order = all(is_number(a.at) for a, _ in known)
        if in_order:
            known.sort(key=lambda pair: pair[0].at)
        axis.errorbar(
            [a.at if is_number(a.at) else written(a.at) for a, _ in known],
            [b.at for _, b in known],
            xerr=[a.error for a, _ in known] if any(a.error for a, _ in known) else None,
            yerr=[b.error for _, b in known],
            label=label or None,
            color=f"C{number % 10}",
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5,
            markerfacecolor="none" if number % 2 else None,  # of two lines in one place both are seen
            linewidth=1.2,
            linestyle="-" if in_order else "none",  # between words there is nothing
            capsize=2,
        )


def _point(run: Run, name: str) -> Point | None:
    """Where a run stands: its metric, or its dial."""
    if metric_of(name) is not None:
        return measured(run.summary, name)
    value = dials_of(run).get(name)
    return None if value is None else Point(at=value)


def measured(summary: Summary, name: str) -> Point | None:
    """A run's metric, if it has it."""
    value = summary.values.get(name)
    return None if value is None else Point(at=value, error=summary.errors.get(name, 0.0))


def grouped(runs: Sequence[Run], names: Sequence[str]) -> dict[str, list[Run]]:
    """The runs by the values of these dials, in the order in which they come."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        dials = dials_of(run)
        found[", ".join(written(dials.get(name, "–")) for name in names)].append(run)
    return found


def label_axes(axis: Any, x: str, y: str) -> None:
    """Names at the axes: a metric's label and name, a dial's name."""
    for name, put in ((x, axis.set_xlabel), (y, axis.set_ylabel)):
        metric = metric_of(name) if name else None
        put(f"{metric.label}\n({name})" if metric else name, fontsize="small")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
