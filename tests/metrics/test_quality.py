"""Quality by hand: agreement, divergence, facts, choices, and an interval that draws whole videos."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from vsd.data.scoring import scored
from vsd.data.small_events import SmallEvents
from vsd.metrics import METRICS, Metric, Summary, summarise, texts
from vsd.metrics.record import Record
from vsd.types import Sample, SampleError, Score, Trace

LETTERS: dict[str, Any] = {"reference": "B", "options": ("red", "blue")}
SECONDS = {"decode": 1.0, "first_token": 1.0, "total": 2.0}


def trace(tokens: tuple[int, ...]) -> Trace:
    return Trace(tokens=tokens, rounds=(), seconds=SECONDS, target_forwards=1, visual=4, kept=2, prompt=9, finish="eos")


def record(
    ours: str, theirs: str | None = None, *, video: str = "a.mp4", tokens: tuple[int, ...] = (1, 2, 3), **sample: Any
) -> Record:
    asked = Sample(id=f"{video}{ours}", video=video, question="?", **sample)
    scorer = SmallEvents().score
    return Record(
        sample=asked,
        trace=trace(tokens),
        baseline=None if theirs is None else trace((1, 2, 3)),
        text=ours,
        baseline_text=theirs or "",
        scores=scored(scorer, asked, ours),
        baseline_scores={} if theirs is None else scored(scorer, asked, theirs),
    )


def values_of(records: list[Record]) -> dict[str, float]:
    return summarise(records).values


def test_agreement_and_divergence() -> None:
    assert texts.agreement((1, 2, 3, 4), (1, 9, 3)) == 0.5
    assert texts.agreement((), ()) == 0
    assert texts.first_divergence((1, 2, 3), (1, 2, 4)) == 2
    assert texts.first_divergence((1, 2), (1, 2, 3)) == 2


def test_a_generation_like_the_targets_own_keeps_everything() -> None:
    text = "the red square moves to the right"
    values = values_of([record(text, text, reference="a red square moves right")] * 2)
    assert values["quality/agreement"] == 1
    assert values["quality/first_divergence"] == 3
    assert values["quality/rouge_l"] == pytest.approx(1)
    assert values["quality/bleu"] == pytest.approx(1)
    assert values["quality/retention"] == pytest.approx(100)
    assert values["quality/reference_rouge_l"] == values["quality/baseline_reference_rouge_l"]


def test_rouge_l_is_the_longest_common_subsequence() -> None:
    # 3 of 4 words in common: precision = recall = 3/4
    assert texts.rouge_l("a b c d", "a x c d") == pytest.approx(0.75)


def test_the_same_short_or_foreign_text_is_the_same() -> None:
    for text in ("B", "a b c", "你好", "é ü"):
        assert texts.rouge_l(text, text) == texts.bleu(text, text) == 1
    assert texts.rouge_l("é ü", "é o") == pytest.approx(0.5)


def test_choices_are_counted() -> None:
    records = [record("B", "B", **LETTERS), record("A", "B", **LETTERS, tokens=(7, 2, 3))]
    values = values_of(records)
    assert values["quality/choice"] == 0.5
    assert values["quality/baseline_choice"] == 1
    assert values["quality/retention"] == 50


def test_facts_are_pooled_over_the_samples() -> None:
    shape = {"about": "blue shape", "given": {"colour": "blue"}, "facts": {"size": "small", "motion": "up"}}
    background = {**shape, "facts": {"texture": "flat", "tone": "dark", "company": "none"}}
    facts = [{"kind": "one", "sections": [section]} for section in (shape, background)]
    texts = ("The blue shape is a small blue circle. It moves down.", "The background is flat.")  # 1 of 2, 1 of 3
    values = values_of([record(text, facts=each) for text, each in zip(texts, facts, strict=True)])
    assert values["quality/facts"] == 2 / 5
    assert "quality/agreement" not in values
    assert "quality/retention" not in values


def test_the_interval_draws_videos_not_questions() -> None:
    def some(videos: int) -> list[Record]:
        return [record("B" if video % 2 else "A", "B", video=f"{video % videos}.mp4", **LETTERS) for video in range(40)]

    wide, narrow = (summarise(some(videos)) for videos in (4, 40))
    assert wide.values["quality/retention"] == narrow.values["quality/retention"] == 50

    def width(summary: Summary) -> float:
        low, high = summary.intervals["quality/retention"]
        return high - low

    assert width(wide) > 2 * width(narrow) > 0
    low, high = wide.intervals["quality/choice"]
    assert low < wide.values["quality/choice"] == 0.5 < high
    assert wide.intervals["quality/baseline_choice"] == (1, 1)
    assert narrow.errors["quality/choice"] == pytest.approx((0.25 / 40) ** 0.5, rel=0.1)
    assert summarise(some(40)[:1]).intervals == {}


def test_nothing_finished_is_no_number() -> None:
    found = summarise([Record(sample=Sample(id="a", video="a", question="?"), failure="broken")]).values
    assert found == {"samples/done": 0, "samples/failed": 1}


def test_a_letter_without_options_is_text() -> None:
    values = values_of([record("A", "A", reference="A")])
    assert values["quality/reference_rouge_l"] == 1
    assert "quality/choice" not in values


def test_a_data_sets_own_names_are_pooled() -> None:
    def scores(right: float) -> dict[str, Score]:
        return {"steps": Score(right, 4), "mark": Score(right)}

    records = [
        replace(record("x", "y", video=f"{number}.mp4"), scores=scores(number), baseline_scores=scores(2))
        for number in range(3)
    ]
    values = values_of(records)
    assert values["quality/steps"] == 3 / 12
    assert values["quality/baseline_steps"] == 6 / 12
    assert values["quality/mark"] == 1
    assert values["quality/retention"] == 50  # by the first of its names
    assert {"quality/steps", "quality/mark", "quality/retention"} <= set(summarise(records).intervals)


def test_overlap_makes_the_retention_last() -> None:
    both: dict[str, Any] = {"scores": {"reference_rouge_l": Score(0.5), "choice": Score(1)}}
    theirs: dict[str, Any] = {"baseline_scores": {"reference_rouge_l": Score(1), "choice": Score(1)}}
    assert values_of([replace(record("x", "y"), **both, **theirs)])["quality/retention"] == 100


def test_a_metric_that_raises_costs_itself_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(text: str, reference: str) -> float:
        if text == "bad":
            raise LookupError("no words")
        return 0.25

    compared = {**texts.COMPARED, "rouge_l": lambda record, *_: broken(record.text, record.baseline_text)}
    monkeypatch.setattr("vsd.metrics.sums.COMPARED", compared)
    for name, value in {"accept/length": lambda s: s / 0, "accept/rate": lambda s: float("nan")}.items():
        metric = replace(METRICS[name], value=value)
        assert isinstance(metric, Metric)
        monkeypatch.setitem(METRICS, name, metric)
    values = values_of([record("bad", "worse"), record("good", "better")])
    assert values["quality/rouge_l"] == 0.25  # of the sample that has one
    assert values["quality/agreement"] == 1
    assert not {"accept/length", "accept/rate"} & set(values)
    assert "quality/rouge_l of sample 'a.mp4bad' is left out: LookupError: no words" in caplog.text
    assert "accept/length is left out: TypeError" in caplog.text


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"a b": 1}, "a score's name: must be a word that is no metric's name"),
        ({"rouge_l": 1}, "a score's name: must be a word that is no metric's name"),
        ({"mark": "good"}, "mark: must be a number, or how much is right and how much was asked, got 'good'"),
        ({"mark": float("nan")}, "mark: must be a number"),
        (None, "score: must be a mapping of names to numbers, got None"),
    ],
)
def test_what_is_no_score_is_the_samples_failure(found: Any, reason: str) -> None:
    with pytest.raises(SampleError, match=f"^score: {re.escape(reason)}"):
        scored(lambda *_: found, Sample(id="a", video="a", question="?"), "text")


def test_numbers_and_pairs_are_scores() -> None:
    found = scored(lambda *_: {"a": True, "b": 0.5, "c": (3, 4)}, Sample(id="a", video="a", question="?"), "text")
    assert found == {"a": Score(1, 1), "b": Score(0.5, 1), "c": Score(3, 4)}
