"""What an answer is worth, as its data set sees it: scores by name, as much as is right of what was asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from vsd.data.choices import chosen
from vsd.metrics import quality, texts
from vsd.types import Sample, Score
from vsd.utils.faults import of_sample
from vsd.utils.validation import is_number, is_whole, require

Scorer = Callable[[Sample, str], Mapping[str, Score | float]]
"""Scores one text as the answer to a sample. A number alone, or a truth value, is of 1 asked."""
FactSpans = Callable[[Sample, str], Iterable[tuple[int, int]]]
"""Where a text states facts, in place of which wording could not stand: first character, and that behind the last."""


def plain(sample: Sample, text: str) -> dict[str, Score]:
    """The scores of a data set that has none of its own: is the right option chosen, else ROUGE-L to the reference."""
    if not sample.reference:
        return {}
    if sample.options:
        return {"choice": Score(float(chosen(text, sample.options) == sample.reference))}
    return {quality.OVERLAP: Score(texts.rouge_l(text, sample.reference))}


def scorer_of(source: Any) -> Scorer:
    """A data set's own `score`, or the plain one."""
    scorer: Scorer = getattr(source, "score", plain)
    return scorer


def fact_spans_of(source: Any) -> FactSpans | None:
    """A data set's own `fact_spans`, if it can tell facts from wording."""
    spans: FactSpans | None = getattr(source, "fact_spans", None)
    return spans


def fact_tokens(spans: FactSpans, sample: Sample, pieces: Sequence[str]) -> tuple[bool, ...]:
    """For each token, by what it adds to the text, whether a part of it that is no white space lies in one of the
    spans. Raises SampleError for whatever `spans` raises, and for what is no span of the text."""
    text, pairs = "".join(pieces), list(zip(pieces, accumulate(map(len, pieces)), strict=True))
    with of_sample("fact_spans"):
        found = [_span(span, len(text)) for span in spans(sample, text)]
        words = [(end - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())) for piece, end in pairs]
        return tuple(any(first < behind and begin < last for first, last in found) for begin, behind in words)


def scored(scorer: Scorer, sample: Sample, text: str) -> dict[str, Score]:
    """The scores of a text. Raises SampleError for whatever the scorer raises, and for what is no score."""
    with of_sample("score"):
        scores = scorer(sample, text)
        require("score", "a mapping of names to numbers", scores, isinstance(scores, Mapping))
        return {_name(name): _score(name, value) for name, value in scores.items()}


def _span(span: tuple[int, int], length: int) -> tuple[int, int]:
    first, last = span
    holds = is_whole(first, least=0) and is_whole(last, least=first + 1) and last <= length
    require("a span", f"where a part of the text begins and ends, within 0 and {length}", span, holds)
    return first, last


def _name(name: object) -> str:
    rule = f"a word that is no metric's name ({', '.join(quality.OWN_NAMES)}) or part of one"
    free = isinstance(name, str) and re.fullmatch(r"[A-Za-z]\w*", name) and name not in quality.OWN_NAMES
    require("a score's name", rule, name, bool(free) and not re.search(r"^baseline_|_(low|high|se)$", str(name)))
    return str(name)


def _score(name: str, value: object) -> Score:
    pair = value if isinstance(value, (tuple, list)) else (float(value) if isinstance(value, bool) else value, 1.0)
    holds = len(pair) == 2 and all(is_number(number) for number in pair) and pair[1] >= 0
    require(name, "a number, or how much is right and how much was asked", value, holds)
    return Score(float(pair[0]), float(pair[1]))
