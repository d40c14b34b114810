"""The end of a run, on the terminal: what the numbers say, and the two texts of one sample beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.style import Style
from rich.table import Table
from rich.text import Text

from vsd.metrics import Metric, Summary, metric_of
from vsd.metrics.record import Record
from vsd.run.report.faults import faults
from vsd.run.report.headline import headline
from vsd.run.report.marks import heats, marked, step
from vsd.run.report.printable import plain, printable
from vsd.verifiers import Verifier

ROWS = (
    "samples/done",
    "samples/failed",
    "exact/mismatched",
    "exact/near_tie",
    "exact/unexplained",
    "exact/violations",
    "speed/decode",
    "speed/equal_devices",
    "speed/predicted",
    "speed/end_to_end",
    "speed/ttft",
    "speed/tokens_per_s",
    "speed/baseline_tokens_per_s",
    "accept/length",
    "accept/draft_length",
    "accept/run_length",
    "accept/rate",
    "accept/tokens_per_target_forward",
    "parallel/overlap",
    "parallel/target_wait",
    "parallel/wasted",
    "relax/share",
    "relax/gap",
    "relevance/auc",
    "quality/agreement",
    "quality/first_divergence",
    "quality/rouge_l",
    "quality/bleu",
    "quality/retention",
    "encode/vision_shared",
    "encode/pixels_shared",
    "prune/visual",
    "prune/kept",
    "memory/peak_mb",
)
"""The metrics of the table, in order; the data set's scores stand before what is kept of them."""

COLOURS = ("bright_blue", "cyan", "green", "yellow", "bright_red")  # from the least to the most relevant


def show(
    records: Sequence[Record],
    summary: Summary,
    folder: Path,
    console: Console | None = None,
    *,
    verifier: Verifier,
    full: bool = False,
) -> None:
    """Print what is asked first, one sample's texts, failures and files; if it is to be `full`, all numbers too.

    `verifier` tells whether it promises the target's own generations, so that others are a fault, and whether
    acceptance was made up.
    """
    files = f"[dim]files[/]  {plain(str(folder))}"
    numbers = [_headline(summary, verifier), *([_numbers(summary)] if full else [])]
    hint = "" if full else "   [dim]more numbers: report=full, or vsd report --full[/]"
    (console or Console()).print(
        Group(*numbers, *_texts(records), *_troubles(records), *faults(records, summary, verifier), files + hint)
    )


def _headline(summary: Summary, verifier: Verifier) -> Table:
    found = Table.grid(padding=(0, 2))
    found.add_column(style="bold", no_wrap=True)
    found.add_column()
    lossless = verifier.lossless
    for name, said in headline(summary, lossless=lossless, mismatched_matters=lossless and verifier.deterministic):
        found.add_row(name, said)
    return found


def _numbers(summary: Summary) -> Table:
    values = summary.values
    drafted, compared = "accept/length" in values, "exact/mismatched" in values
    title = ("Speculative decoding" if drafted else "Decoding") + (" against the target alone" if compared else "")
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_column("± s.e.", justify="right", style="dim")
    table.add_column("metrics.json", style="dim", no_wrap=True)
    for metric in rows(values):
        error = metric.written(summary.errors[metric.name]) if metric.name in summary.errors else ""
        table.add_row(metric.label, metric.written(values[metric.name]), error, metric.name)
    return table


def rows(values: Mapping[str, float]) -> list[Metric]:
    """Those of ROWS that there are, with the data set's scores. What differs is explained where something differs."""
    scores = [name for name in values if name.startswith("quality/") and name not in ROWS]
    place = ROWS.index("quality/retention")
    idle = () if values.get("exact/mismatched") else ("exact/near_tie", "exact/unexplained", "exact/violations")
    names = [name for name in (*ROWS[:place], *scores, *ROWS[place:]) if name in values and name not in idle]
    return [metric for name in names if (metric := metric_of(name)) is not None]


def _texts(records: Sequence[Record]) -> list[RenderableType]:
    done = [record for record in records if record.done]
    # The first sample, unless one went wrong: that is the one to look at.
    wrong = [record for record in done if record.mismatched]
    unexplained = [record for record in wrong if not (record.audit and record.audit.explained)]
    shown = next(iter([*unexplained, *wrong, *done]), None)
    if shown is None or shown.trace is None:
        return []
    ours = _ours(shown)
    panels = [_panel("speculative", ours)]
    if shown.baseline is not None:
        verdict = "[red]different tokens[/]" if shown.mismatched else "[green]token-identical[/]"
        if shown.audit is not None and shown.audit.explained:
            verdict = f"[yellow]a near-tie at token {shown.audit.place}[/]"
        panels = [_panel("target alone", Text(printable(shown.baseline_text))), _panel(f"speculative: {verdict}", ours)]
    title = f"{plain(shown.sample.id)}: {plain(shown.sample.question)}"
    grid = Table.grid(expand=True)
    for _ in panels:
        grid.add_column(ratio=1)
    grid.add_row(*panels)
    return [title, grid]


def _ours(record: Record) -> Text:
    """This run's text: relaxed tokens in brackets, each in the colour of its visual relevance if that was computed."""
    token_marks = record.trace.marks if record.trace else ()
    shares = heats(token_marks)
    notes = ["in ⟦⟧: relaxed"] if any(mark.relaxed for mark in token_marks) else []
    notes += ["colour: blue, least, to red, most dependent on the video"] if set(shares) != {None} else []
    if not notes:
        return Text(printable(record.text))
    text = Text()
    for piece, mark, share in zip(record.pieces, token_marks, shares, strict=True):
        text.append(marked([piece], [mark]), Style(color=step(share, COLOURS, "default")))
    return text.append(f"\n({', '.join(notes)})", "dim")


def _panel(title: str, text: Text) -> Panel:
    return Panel(text, title=title, title_align="left")


def _troubles(records: Sequence[Record]) -> list[RenderableType]:
    lines = [
        f"[red]failed[/]  {plain(record.sample.id)}: {plain(record.failure)}" for record in records if record.failure
    ]
    lines += [f"[yellow]warning[/]  {plain(r.sample.id)}: {plain(text)}" for r in records for text in r.warnings]
    more = len(lines) - 10
    return [*lines[:10], f"... and {more} more in samples.jsonl"] if more > 0 else list(lines)
