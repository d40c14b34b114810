"""The questions as a workspace of a W&B project, and as a report. Both are built without a network."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from vsd.commands.dashboard.questions import DIALS, Question, questions, titled
from vsd.metrics import metric_of

PINNED = ("speed/decode", "speed/end_to_end", "accept/draft_length", "quality/retention", "exact/mismatched")
"""Numbers that stand beside a run's name."""
RUNS = 100  # of a panel
WIDTH = 100  # letters of a line


def workspace(entity: str, project: str, name: str) -> Any:
    """A section a question, the fastest runs first."""
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[_section(question, first=not place) for place, question in enumerate(questions())],
        settings=ws.WorkspaceSettings(max_runs=RUNS),
        runset_settings=ws.RunsetSettings(
            order=[ws.Ordering(ws.Summary(PINNED[0]), ascending=False)],
            pinned_columns=["run:displayName", "run:state", *(f"summary:{name}" for name in PINNED)],
        ),
    )


def _section(question: Question, *, first: bool) -> Any:
    says = wr.MarkdownPanel(markdown=question.answer)
    layout = ws.SectionLayoutSettings(columns=3, rows=3)
    return ws.Section(name=question.name, panels=[says, *question.panels], is_open=first, layout_settings=layout)


def report(entity: str, project: str, name: str) -> Any:
    """A chapter a question, over all runs of the project."""
    blocks: list[Any] = [wr.TableOfContents()]
    for question in questions():
        blocks += [wr.H2(text=question.name), wr.P(text=question.answer)]
        blocks.append(wr.PanelGrid(runsets=[wr.Runset(name="all runs")], panels=_placed(question.panels)))
    dials = ", ".join(DIALS)
    blocks.append(wr.P(text=f"Dials: {dials}. Numbers: {'; '.join(map(titled, PINNED))}."))
    return wr.Report(entity=entity, project=project, title=name, blocks=blocks, width="fluid")


def _placed(panels: Any) -> list[Any]:
    """Three in a row."""
    for place, panel in enumerate(panels):
        panel.layout = wr.Layout(x=8 * (place % 3), y=8 * (place // 3), w=8, h=8)
    return list(panels)


def as_json(page: Any) -> dict[str, Any]:
    """What would be saved, as W&B's own form has it."""
    model = page._to_model()  # the library has no public name for it, and `save` sends just this
    found: dict[str, Any] = json.loads(model.model_dump_json(by_alias=True, exclude_none=True))
    return found


def outline(page: Any) -> list[str]:
    """The questions: how to read the panels of each, and what these show."""
    lines = [f"{page.entity}/{page.project}: {getattr(page, 'name', None) or page.title}"]
    for question in questions():
        ends = {"initial_indent": "  ", "subsequent_indent": "  ", "break_on_hyphens": False}
        about = textwrap.wrap(question.answer, WIDTH, **ends)  # type: ignore[arg-type]
        lines += ["", question.name, *about, *(f"  - {_shows(panel)}" for panel in question.panels)]
    return lines


def _shows(panel: Any) -> str:
    """A panel in words: what kind of picture, of what."""
    match panel:
        case wr.ScatterPlot():
            return f"{panel.title}: a point a run"
        case wr.BarPlot():
            return f"{panel.title}: a bar a run, of {_names(panel.metrics)}"
        case wr.LinePlot():
            return f"{panel.title}: a curve a run"
        case wr.ParallelCoordinatesPlot():
            columns = "; ".join(column.display_name for column in panel.columns)
            return f"{panel.title}: a line a run through {columns}"
        case wr.ParameterImportancePlot():
            return f"Which dial {_names([panel.with_respect_to])} follows: importance and correlation of each"
        case wr.MediaBrowser():
            return f"{panel.title}: pictures or clips of a few samples"
        case wr.WeavePanelSummaryTable():
            return f"The table {panel.table_name!r}"
        case wr.CustomChart():
            kind = {"bar": "bars", "line": "a line"}[panel.chart_name.split("/")[1]]
            return f"{panel.chart_strings['title']}: {kind}, from a table of the run"
    raise TypeError(type(panel).__name__)


def _names(metrics: Sequence[Any]) -> str:
    """Metrics by their labels."""
    names = [str(getattr(metric, "name", metric)) for metric in metrics]
    return "; ".join(found.label for name in names if (found := metric_of(name)))
