"""The questions as a workspace of a W&B project, and as a report. Both are built without a network."""

from __future__ import annotations

import json
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from vsd.commands.dashboard.questions import DIALS, Question, questions, titled

PINNED = ("speed/decode", "speed/end_to_end", "accept/draft_length", "quality/retention", "exact/mismatched")
"""Numbers that stand beside a run's name."""
RUNS = 100  # of a panel


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
    """The questions with the titles of their panels."""
    lines = []
    for question in questions():
        lines.append(question.name)
        lines += [f"  {_title(panel)}" for panel in question.panels]
    return [f"{page.entity}/{page.project}: {getattr(page, 'name', None) or page.title}", *lines]


def _title(panel: Any) -> str:
    kind = type(panel).__name__
    about = getattr(panel, "title", None) or getattr(panel, "with_respect_to", None)
    about = about or getattr(panel, "table_name", None) or getattr(panel, "chart_strings", {}).get("title", "")
    return f"{about} [{kind}]"
