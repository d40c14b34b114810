"""Quality by hand: agreement, divergence, facts, choices, and an interval that draws whole videos."""

from __future__ import annotations

import pytest

from vsd import quality
from vsd.record import Record
from vsd.types import Sample, Trace
from vsd.zoo import shapes

SECONDS = {"decode": 1.0, "first_token": 1.0, "total": 2.0}


def trace(tokens: tuple[int, ...]) -> Trace:
    return Trace(tokens=tokens, rounds=(), seconds=SECONDS, target_forwards=1, visual=4, kept=2, prompt=9, finish="eos")


def record(
    ours: str, theirs: str | None = None, *, video: str = "a.mp4", tokens: tuple[int, ...] = (1, 2, 3), **sample: object
) -> Record:
    return Record(
        sample=Sample(id=f"{video}{ours}", video=video, question="?", **sample),  # type: ignore[arg-type]
        trace=trace(tokens),
        baseline=None if theirs is None else trace((1, 2, 3)),
        text=ours,
        baseline_text=theirs or "",
    )


def test_agreement_and_divergence() -> None:
    assert quality.agreement((1, 2, 3, 4), (1, 9, 3)) == 0.5
    assert quality.agreement((), ()) == 0
    assert quality.first_divergence((1, 2, 3), (1, 2, 4)) == 2
    assert quality.first_divergence((1, 2), (1, 2, 3)) == 2


def test_an_answer_like_the_targets_own_keeps_everything() -> None:
    text = "the red square moves to the right"
    values = quality.summary([record(text, text, reference="a red square moves right")] * 2)
    assert values["quality/agreement"] == 1
    assert values["quality/first_divergence"] == 3
    assert values["quality/rouge_l"] == pytest.approx(1)
    assert values["quality/bleu"] == pytest.approx(1)
    assert values["quality/retention"] == pytest.approx(100)
    assert values["quality/reference_rouge_l"] == values["quality/baseline_reference_rouge_l"]


def test_rouge_l_is_the_longest_common_subsequence() -> None:
    # 3 of 4 words in common: precision = recall = 3/4
    assert quality.rouge_l("a b c d", "a x c d") == pytest.approx(0.75)


def test_the_same_short_or_foreign_text_is_the_same() -> None:
    for text in ("B", "a b c", "你好", "é ü"):
        assert quality.rouge_l(text, text) == quality.bleu(text, text) == 1
    assert quality.rouge_l("é ü", "é o") == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "letter"),
    [("B", "B"), ("(C) because", "C"), ("The answer is D.", "D"), ("Apple", ""), ("b", ""), ("", ""), ("A: red", "A")],
)
def test_the_letter_that_is_chosen(text: str, letter: str) -> None:
    assert quality.chosen(text) == letter


def test_choices_are_counted() -> None:
    records = [record("B", "B", reference="B"), record("A", "B", reference="B", tokens=(7, 2, 3))]
    values = quality.summary(records)
    assert values["quality/choice"] == 0.5
    assert values["quality/baseline_choice"] == 1
    assert values["quality/retention"] == 50


def test_facts_are_pooled_over_the_samples() -> None:
    scene = shapes.scene(4)
    from vsd.zoo.score import score

    text = f"The video shows one coloured shape on a {scene.texture} {scene.tone} background."
    right, asked = score(text, scene.facts)
    values = quality.summary([record(text, reference="x", facts=scene.facts)])
    assert values["quality/facts"] == pytest.approx(sum(right.values()) / sum(asked.values()))
    assert "quality/agreement" not in values
    assert "quality/retention" not in values


def test_the_interval_draws_videos_not_questions() -> None:
    def some(videos: int) -> list[Record]:
        return [
            record("B" if video % 2 else "A", "B", video=f"{video % videos}.mp4", reference="B") for video in range(40)
        ]

    wide, narrow = (quality.summary(some(videos)) for videos in (4, 40))
    assert wide["quality/retention"] == narrow["quality/retention"] == 50

    def width(values: dict[str, float]) -> float:
        return values["quality/retention_high"] - values["quality/retention_low"]

    assert width(wide) > 2 * width(narrow) > 0
    assert wide["quality/choice_low"] < wide["quality/choice"] == 0.5 < wide["quality/choice_high"]
    assert wide["quality/baseline_choice_low"] == wide["quality/baseline_choice_high"] == 1
    error = quality.standard_errors(some(40))["quality/choice"]
    assert error == pytest.approx((0.25 / 40) ** 0.5, rel=0.1)
    assert "quality/retention_low" not in quality.summary(some(40)[:1])
    assert quality.standard_errors(some(40)[:1]) == {}


def test_nothing_finished_is_no_number() -> None:
    assert quality.summary([Record(sample=Sample(id="a", video="a", question="?"), failure="broken")]) == {}
