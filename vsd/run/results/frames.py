"""Runs as pandas tables: a row a sample, a round, a token.

`vsd.run.results.columns` says what a column holds. A column is there whether or not a run has something for it; what is
not known is NA: NaN among numbers, None among texts. pandas is imported when a table is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vsd.metrics.record import Record
from vsd.metrics.resampling import values_of
from vsd.run.results.columns import ROUNDS, SAMPLES, TOKENS, Column, Kind, OneRound, OneToken
from vsd.types import Trace

if TYPE_CHECKING:
    from pandas import DataFrame

_DTYPES: dict[Kind, str] = {
    "text": "object",
    "number": "float64",
    "count": "Int64",
    "bool": "boolean",
    "tuple": "object",
}

METRICS = ("accept/", "parallel/", "quality/", "relax/", "relevance/", "speed/")
"""Of these metrics each sample has a number of its own; the others are columns already, or say nothing of one."""


def samples(records: Sequence[Record]) -> DataFrame:
    """A row a sample, those that failed too: `SAMPLES`, and behind them what `METRICS` says of each sample alone."""
    import pandas as pd

    values = [_metrics(record) for record in records]
    names = sorted({name for each in values for name in each})
    numbers = pd.DataFrame({name: pd.Series([each.get(name) for each in values], dtype=float) for name in names})
    return pd.concat((_frame(SAMPLES, records), numbers), axis=1)


def rounds(records: Sequence[Record]) -> DataFrame:
    """A row a round of the samples that were decoded, in their order: `ROUNDS`."""
    rows = [each for record in records if record.trace for each in _rounds(record.sample.id, record.trace)]
    return _frame(ROUNDS, rows)


def tokens(records: Sequence[Record]) -> DataFrame:
    """A row a token of the samples that were decoded, in their order: `TOKENS`, and a column for each other evidence
    that was collected of every token, by its name."""
    import pandas as pd

    rows = [each for record in records if record.trace for each in _tokens(record, record.trace)]
    names = sorted({name for row in rows for name in row.evidence})
    others = {name: pd.Series([row.evidence.get(name) for row in rows], dtype=float) for name in names}
    return pd.concat((_frame(TOKENS, rows), pd.DataFrame(others)), axis=1)


def _frame(columns: Sequence[Column], rows: Sequence[Any]) -> DataFrame:
    import pandas as pd

    made = {each.name: pd.Series([each.value(row) for row in rows], dtype=_DTYPES[each.kind]) for each in columns}
    return pd.DataFrame(made)


def _metrics(record: Record) -> dict[str, float]:
    return {name: value for name, value in values_of([record]).items() if name.startswith(METRICS) and record.done}


def _rounds(sample: str, trace: Trace) -> Iterator[OneRound]:
    first = trace.before_rounds
    for number, each in enumerate(trace.rounds):
        yield OneRound(sample=sample, number=number, first=first, round=each)
        first += each.committed


def _tokens(record: Record, trace: Trace) -> Iterator[OneToken]:
    names = sorted({name for each in trace.rounds for name in each.evidence} - {"relevance"})
    evidence = {name: trace.by_token(name) for name in names}
    gaps = {
        each.first + place: gap
        for each in _rounds(record.sample.id, trace)
        for place, gap in zip(each.round.relaxed, each.round.gaps, strict=False)
    }
    for place, (token, mark) in enumerate(zip(trace.tokens, trace.marks, strict=True)):
        yield OneToken(
            sample=record.sample.id,
            place=place,
            token=token,
            piece=record.pieces[place] if place < len(record.pieces) else None,
            fact=record.fact_tokens[place] if place < len(record.fact_tokens) else None,
            gap=gaps.get(place),
            mark=mark,
            evidence={name: values[place] for name, values in evidence.items()},
        )
