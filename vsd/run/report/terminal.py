"""The end of a run, on the terminal: what the numbers say, and the two texts of one sample beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.style import Style
from rich.table import Table
from rich.text import Text

from vsd.metrics import Metric, Summary, metric_of
from vsd.metrics.record import Record
from vsd.run.report.headline import headline
from vsd.run.report.marks import heats, marked, step
from vsd.run.report.printable import printable
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
    faults = _faults(records, summary.values) if verifier.lossless and verifier.deterministic else []
    if verifier.synthetic:
        faults = ["[red]made up[/]  acceptance is synthetic: these are times, the generations mean nothing"]
    if any(record.trace is not None and record.trace.simulated for record in records):
        faults = [*faults, "[yellow]simulated[/]  the times are those of executor.profile; none was measured"]
    files = f"[dim]files[/]  {_plain(str(folder))}"
    numbers = [_headline(summary, verifier), *([_numbers(summary)] if full else [])]
    hint = "" if full else "   [dim]all numbers: report=full, or vsd report --full[/]"
    (console or Console()).print(Group(*numbers, *_texts(records), *_troubles(records), *faults, files + hint))


def _faults(records: Sequence[Record], metrics: Mapping[str, float]) -> list[RenderableType]:
    """Generations that differ although the rule is lossless: those that rounding explains, and the others."""
    if not metrics.get("exact/mismatched"):
        return []
    near, unexplained = metrics.get("exact/near_tie"), metrics.get("exact/unexplained")
    done, lines = f"{metrics['samples/done']:.0f} generations", list[RenderableType]()
    if near is None or unexplained is None:  # records of an older version
        why = "In float32 and below a near-tie of two tokens may do that; with dtype=float64 it is a bug."
        count = f"{metrics['exact/mismatched']:.0f} of {done}"
        return [f"[red]not exact[/]  {count} differ from the target's own although the verifier is lossless. {why}"]
    if near:
        why = "where they part, both tokens' logits are equal but for rounding (with dtype=float64 none would be)."
        lines.append(f"[yellow]near-ties[/]  {near:.0f} of {done} differ from the target's own: {why}")
    if unexplained:
        first = next(r for r in records if r.mismatched and r.audit is not None and not r.audit.explained)
        count = f"{unexplained:.0f} of {done}"
        where = f"{_plain(first.sample.id)} at token {first.audit.place}" if first.audit else ""
        why = f"no near-tie explains it (first: {where}{_width(first)}). This is a bug."
        lines.append(
            f"[red]not exact[/]  {count} differ from the target's own although the verifier is lossless, and {why}"
        )
    return lines


def _width(record: Record) -> str:
    """How far from a near-tie a difference is, if that is known."""
    audit = record.audit
    if audit is None or audit.gap is None:
        return ""
    if audit.gap <= audit.limit * audit.step:
        return f", and {audit.violations} tokens from there on are not the target's"
    return f", the logits {audit.gap:.3g} apart where {audit.limit * audit.step:.3g} would be rounding"


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
    for metric in _rows(values):
        error = metric.written(summary.errors[metric.name]) if metric.name in summary.errors else ""
        table.add_row(metric.label, metric.written(values[metric.name]), error, metric.name)
    return table


def _rows(values: Mapping[str, float]) -> list[Metric]:
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
    title = f"{_plain(shown.sample.id)}: {_plain(shown.sample.question)}"
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
        f"[red]failed[/]  {_plain(record.sample.id)}: {_plain(record.failure)}" for record in records if record.failure
    ]
    lines += [f"[yellow]warning[/]  {_plain(r.sample.id)}: {_plain(text)}" for r in records for text in r.warnings]
    more = len(lines) - 10
    return [*lines[:10], f"... and {more} more in samples.jsonl"] if more > 0 else list(lines)


def _plain(text: str) -> str:
    """Text that is none of the terminal's commands."""
    return escape(printable(text))
