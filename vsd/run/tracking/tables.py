"""A run as tables: names of columns and rows of plain values. Every text in them is anybody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vsd.metrics import Summary, metric_of
from vsd.metrics.record import Record
from vsd.metrics.resampling import values_of
from vsd.run.report.marks import heat_line, marked
from vsd.run.report.printable import printable
from vsd.types import Round

LONGEST = 6000  # characters of a text
ACCEPTED, RELAXED, REJECTED, UNTESTED = "■", "▣", "×", "·"
"""What a strip has for a draft token: accepted, by a relaxed rule alone, refused, and behind a refused one."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Its columns, and a value for each in every row."""

    columns: tuple[str, ...]
    rows: list[list[Any]]


_NUMBERS = ("speed/decode", "speed/end_to_end", "speed/tokens_per_s", "accept/draft_length", "accept/rate")


def samples(records: Sequence[Record]) -> Table:
    """A row a sample: both texts (relaxed tokens in brackets, a bar under each letter for its token's relevance), what
    the draft saw, its numbers, why it failed."""
    values = [values_of([record]) if record.done else {} for record in records]
    scores = sorted({name for each in values for name in each if name.startswith("quality/")})
    numbers = [name for name in (*_NUMBERS, *scores) if any(name in each for each in values)]
    columns = ("id", "video", "question", "reference", "text", "target alone", "relevance", "same tokens", "tokens")
    rows = [[*_told(record), *(own.get(name) for name in numbers), text(record.failure)] for record, own in
            zip(records, values, strict=True)]  # fmt: skip
    return Table(columns=(*columns, "kept", "visual", "kept share", *numbers, "failure"), rows=rows)


def _told(record: Record) -> list[Any]:
    sample, trace, alone = record.sample, record.trace, record.baseline
    marks = trace.marks if trace and len(record.pieces) == len(trace.tokens) else ()
    relaxed = any(mark.relaxed for mark in marks)
    return [
        text(sample.id),
        text(sample.video),
        text(sample.question),
        text(sample.reference),
        text(marked(record.pieces, marks) if relaxed else record.text),
        text(record.baseline_text),
        text(heat_line(record.pieces, marks) if marks else ""),
        not record.mismatched if trace and alone else None,
        len(trace.tokens) if trace else None,
        trace.kept if trace else None,
        trace.visual if trace else None,
        trace.kept / trace.visual if trace and trace.visual else None,
    ]


def rounds(records: Sequence[Record]) -> Table:
    """A row a sample: what became of each draft token, round by round, and the sums of its rounds."""
    columns = ("id", "rounds", "strip", "drafted", "accepted", "relaxed", "wasted", "draft s", "verify s", "wait s")
    rows = []
    for record in records:
        if record.trace is None:
            continue
        drafted = [each for each in record.trace.rounds if each.drafted]
        sums = [sum(getattr(each, name) for each in record.trace.rounds) for name in ("drafted", "accepted")]
        sums += [sum(len(each.relaxed) for each in record.trace.rounds)]
        names = ("wasted", "draft_s", "verify_s", "wait_s")
        sums += [sum(getattr(each, name) for each in record.trace.rounds) for name in names]
        rows.append([text(record.sample.id), len(drafted), text(" ".join(map(strip, drafted))), *sums])
    return Table(columns=columns, rows=rows)


def strip(one: Round) -> str:
    """A sign for each draft token of a round's path."""
    relaxed = set(one.relaxed)
    signs = [RELAXED if place in relaxed else ACCEPTED for place in range(one.accepted)]
    signs += [REJECTED] if one.rejected else []
    return "".join(signs) + UNTESTED * (one.drafted - len(signs))


def time_breakdown(records: Sequence[Record]) -> Table:
    """The mean seconds of a sample's steps, and those of the target alone. Where draft and target work at once, the
    steps are more than the decoding that they are of."""
    done = [record for record in records if record.trace is not None]
    alone = [record for record in done if record.baseline is not None]
    rows: list[list[Any]] = []
    for step, spans in _SPANS.items():
        seconds = sum(record.trace.seconds.get(span, 0.0) for record in done if record.trace for span in spans)
        rows += [[step, seconds / len(done)]] if done else []
    for step, name in (("draft", "draft_s"), ("verify", "verify_s"), ("wait", "wait_s")):
        seconds = sum(getattr(each, name) for record in done if record.trace for each in record.trace.rounds)
        rows += [[step, seconds / len(done)]] if done else []
    for span in ("encode", "prefill", "decode"):
        seconds = sum(record.baseline.seconds.get(span, 0.0) for record in alone if record.baseline)
        rows += [[f"target alone: {span}", seconds / len(alone)]] if alone else []
    return Table(columns=("step", "seconds"), rows=rows)


_SPANS = {
    "encode": ("encode",),
    "prefill": ("prefill",),
    "prune": ("prune",),
    "draft's prefill": ("draft_encode", "draft_prefill"),
}


def by_position(values: dict[str, float]) -> Table:
    """The share accepted of the draft tokens at each position, of those that were tested."""
    rows = list[list[Any]]()
    while (name := f"accept/position_{len(rows) + 1}") in values:
        rows.append([len(rows) + 1, values[name]])
    return Table(columns=("position", "accepted"), rows=rows)


def per_round(records: Sequence[Record]) -> Table:
    """How many rounds accepted so many draft tokens."""
    counts = Counter(
        each.accepted for record in records if record.trace for each in record.trace.rounds if each.drafted
    )
    return Table(columns=("accepted", "rounds"), rows=[[f"{count}", counts[count]] for count in sorted(counts)])


def numbers(summary: Summary) -> Table:
    """Every metric with its error, interval and meaning."""
    columns = ("metric", "value", "se", "low", "high", "better", "unit", "formula")
    rows = []
    for name, value in summary.values.items():
        metric = metric_of(name)
        low, high = summary.intervals.get(name, (None, None))
        said = [metric.better, metric.unit, metric.formula] if metric else ["", "", ""]
        rows.append([name, value, summary.errors.get(name), low, high, *said])
    return Table(columns=columns, rows=rows)


def text(value: str) -> str:
    """Anybody's text: printable, and not too long."""
    plain = printable(value)
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]} … and {len(plain) - LONGEST} more letters"
