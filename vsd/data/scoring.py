"""What an answer is worth, as its data set sees it: scores by name, as much as is right of what was asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from vsd.data.choices import chosen
from vsd.metrics import quality, texts
from vsd.types import Sample, Score
from vsd.utils.faults import of_sample
from vsd.utils.validation import is_number, require

Scorer = Callable[[Sample, str], Mapping[str, Score | float]]
"""Scores one text as the answer to a sample. A number alone, or a truth value, is of 1 asked."""


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


def scored(scorer: Scorer, sample: Sample, text: str) -> dict[str, Score]:
    """The scores of a text. Raises SampleError for whatever the scorer raises, and for what is no score."""
    with of_sample("score"):
        scores = scorer(sample, text)
        require("score", "a mapping of names to numbers", scores, isinstance(scores, Mapping))
        return {_name(name): _score(name, value) for name, value in scores.items()}


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
