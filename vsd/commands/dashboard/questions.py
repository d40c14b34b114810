"""What a project is asked, and the panels that answer. Labels, and which way is better, are the metrics' own.

A name that no metric has raises KeyError: a panel without data looks like a run without results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as wr

from vsd.metrics import metric_of
from vsd.metrics.registry import Metric
from vsd.run.tracking.history import STEP
from vsd.run.tracking.panels import BY_POSITION, CLIP, KEPT, PER_ROUND, ROUNDS, SAMPLES, TIME, table_of

DIALS = ("target", "pruner", "ratio", "drafter", "gamma", "verifier", "parallelism", "without")
"""Of a run's config, in the order of the columns."""
PLACES = 8  # of a draft whose acceptance is shown
SPANS = ("encode", "prefill", "prune", "draft_encode", "draft_prefill", "decode")
"""Of a sample's time, see `vsd.types.Trace`."""
_ARROWS = {"higher": "higher is better", "lower": "lower is better"}


@dataclass(frozen=True, kw_only=True)
class Question:
    """A section: what is asked, how its panels answer it, and these."""

    name: str
    answer: str
    panels: Sequence[Any]


def questions() -> list[Question]:
    """All of them, the most asked first."""
    return [_fastest(), _looseness(), _time(), _acceptance(), _kept(), _exact()]


def _fastest() -> Question:
    answer = """In the scatter, up is faster and right is better: the runs at its upper right are the ones to choose
    from. In the parallel coordinates, drag over an axis to keep the runs that hold it; importance says which dial the
    speed follows. Speeds of different machines cannot be compared."""
    return _question(
        "Which setting is fastest?",
        answer,
        _scatter("quality/retention", "speed/decode"),
        _bars("Speed-up", "speed/decode", "speed/end_to_end", "speed/ttft"),
        _coordinates("accept/draft_length", "speed/decode", "quality/retention"),
        wr.ParameterImportancePlot(with_respect_to=_metric("speed/decode").name),
        _scatter("accept/draft_length", "speed/decode"),
        _bars("Speed-up with as many devices", "speed/equal_devices"),
        _curves("Speed-up as the run goes on", "speed/decode", "speed/end_to_end"),
    )


def _looseness() -> Question:
    answer = """A relaxed rule accepts drafts that are not the target's own: what it accepts more stands on the right of
    the first two pictures, and what that costs is how far their points fall. A lossless rule relaxes nothing."""
    return _question(
        "What does looseness cost?",
        answer,
        _scatter("relax/share", "quality/retention"),
        _scatter("accept/draft_length", "quality/retention"),
        _scatter("relax/share", "speed/decode"),
        wr.ParameterImportancePlot(with_respect_to=_metric("quality/retention").name),
        _bars("Likeness to the target's own text", "quality/agreement", "quality/rouge_l", "quality/bleu"),
        _bars("Probability given away by a relaxed token", "relax/gap"),
    )


def _time() -> Question:
    answer = """Mean seconds of a sample. Decoding is all that the papers' clock sees; under a schedule that overlaps
    prefills, the draft's lie within the target's. Wasted drafts were written and thrown away."""
    spans = [f"time/{span}" for span in SPANS]
    return _question(
        "Where does the time go?",
        answer,
        _bars("Seconds of a sample", *spans),
        _chart(TIME, "bar", "Seconds of a sample, run by run", label="step", value="seconds"),
        _bars("Wasted drafts", "parallel/wasted"),
        _bars("Who waits for whom", "parallel/target_wait", "parallel/draft_wait", "parallel/overlap"),
        _bars("Measured against theory", "speed/measured_to_predicted", "speed/verify_steps"),
        _scatter("parallel/wasted", "speed/decode"),
        _bars("Memory", "memory/peak_mb"),
    )


def _acceptance() -> Question:
    answer = """The share accepted of the tokens at each place of a draft that were tested. Where it falls steeply,
    shorter drafts waste less."""
    places = [f"accept/position_{place}" for place in range(1, PLACES + 1)]
    return _question(
        "How far are drafts accepted?",
        answer,
        _chart(BY_POSITION, "line", "Accepted by position in the draft", x="position", y="accepted"),
        _chart(PER_ROUND, "bar", "Rounds by accepted draft tokens", label="accepted", value="rounds"),
        _bars("Accepted at each place", *places),
        _bars("Tokens", "accept/draft_length", "accept/length", "accept/run_length"),
        _bars("Accepted of tested", "accept/rate"),
        _curves("Accepted per round as the run goes on", "accept/draft_length"),
        wr.WeavePanelSummaryTable(table_name=ROUNDS),
    )


def _kept() -> Question:
    answer = """Frames of a few samples with the visual tokens that the draft saw, their clips, and both texts of each
    sample: relaxed tokens stand in brackets."""
    return _question(
        "Which tokens were kept?",
        answer,
        wr.MediaBrowser(title="Kept tokens", media_keys=[KEPT], num_columns=2),
        wr.MediaBrowser(title="Clips", media_keys=[CLIP], num_columns=2),
        _bars("Visual tokens", "prune/kept", "prune/visual"),
        _scatter("prune/kept", "accept/draft_length"),
        wr.WeavePanelSummaryTable(table_name=SAMPLES),
    )


def _exact() -> Question:
    answer = """Generations of a lossless rule that are not the target's own. What rounding explains is a near-tie; what
    nothing explains must be 0. Failed samples are left out of every other number."""
    return _question(
        "Is it exact?",
        answer,
        _bars("Generations that differ", "exact/mismatched", "exact/near_tie", "exact/unexplained"),
        _bars("Tokens that nothing explains", "exact/violations"),
        _bars("Samples", "samples/done", "samples/failed"),
        _bars("Tokens before the first difference", "quality/first_divergence"),
    )


def _question(name: str, answer: str, *panels: Any) -> Question:
    return Question(name=name, answer=" ".join(answer.split()), panels=panels)


def _metric(name: str) -> Metric:
    found = metric_of(name)
    if found is None:
        raise KeyError(name)
    return found


def titled(name: str) -> str:
    """A metric's label, and which way is better."""
    found = _metric(name)
    return found.label + (f" ({_ARROWS[found.better]})" if found.better in _ARROWS else "")


def _scatter(x: str, y: str) -> Any:
    """A point a run."""
    title = f"{_metric(y).label} against {_metric(x).label}"
    return wr.ScatterPlot(
        title=title[0].upper() + title[1:],
        x=wr.SummaryMetric(_metric(x).name),
        y=wr.SummaryMetric(_metric(y).name),
    )


def _bars(title: str, *names: str) -> Any:
    """Bars of every run. One metric says which way is better, several have it in common or say nothing."""
    ways = {_ARROWS.get(_metric(name).better, "") for name in names}
    way = ways.pop() if len(ways) == 1 else ""
    return wr.BarPlot(
        title=f"{title} ({way})" if way else title,
        metrics=[_metric(name).name for name in names],
        max_runs_to_show=20,
    )


def _curves(title: str, *names: str) -> Any:
    """Of metrics that have one."""
    dead = [name for name in names if not _metric(name).live]
    if dead:
        raise KeyError(dead[0])
    return wr.LinePlot(title=title, x=STEP, y=[_metric(name).name for name in names], title_x="samples", title_y=title)


def _coordinates(*names: str) -> Any:
    """A line a run, from its dials to these metrics; what is better is always up."""
    dials = [wr.ParallelCoordinatesPlotColumn(metric=wr.Config(dial), display_name=dial) for dial in DIALS]
    metrics = [
        wr.ParallelCoordinatesPlotColumn(
            metric=wr.SummaryMetric(_metric(name).name),
            display_name=_metric(name).label,
            inverted=_metric(name).better == "lower" or None,
        )
        for name in names
    ]
    return wr.ParallelCoordinatesPlot(title="From dials to numbers", columns=[*dials, *metrics])


def _chart(chart: str, kind: str, title: str, **fields: str) -> Any:
    """One of W&B's own charts over a table."""
    return wr.CustomChart(
        query={"summaryTable": {"tableKey": table_of(chart)}},
        chart_name=f"wandb/{kind}/v0",
        chart_fields=fields,
        chart_strings={"title": title},
    )
