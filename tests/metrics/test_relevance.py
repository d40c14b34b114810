"""How well relevance tells facts from wording, against pairs counted by hand; which tokens are facts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from vsd.data.scoring import fact_spans_of, fact_tokens
from vsd.data.small_events import SmallEvents
from vsd.metrics import METRICS, by_video, estimate, summarise, values_of
from vsd.metrics.record import Record, from_dict, to_dict
from vsd.metrics.registry import Sums
from vsd.metrics.relevance import auc, relevance_sums
from vsd.metrics.resampling import Draws, draw
from vsd.metrics.sums import pooled
from vsd.types import Round, Sample, SampleError, Trace

AUC = "relevance/auc"


def record(video: str, tokens: Sequence[tuple[bool, float | None]]) -> Record:
    """A generation of a first token that is of no round, and of these: is it a fact, and its relevance."""
    found = [{} if value is None else {"relevance": (value,)} for _, value in tokens]
    rounds = tuple(Round(drafted=1, nodes=1, accepted=0, committed=1, rejected=True, evidence=each) for each in found)
    seconds = {"decode": 1.0, "first_token": 1.0, "total": 2.0}
    trace = Trace(tokens=tuple(range(len(tokens) + 1)), rounds=rounds, seconds=seconds, target_forwards=len(tokens),
                  visual=4, kept=2, prompt=9, finish="eos")  # fmt: skip
    return Record(
        sample=Sample(id=video, video=video, question="?"), trace=trace, fact_tokens=(True, *(f for f, _ in tokens))
    )


def test_pairs_counted_by_hand_with_ties() -> None:
    # Facts 0.9, 0.5, 0.5; wording 0.5, 0.2. Of six pairs 0.9 wins two; each 0.5 wins one and ties one.
    tokens = [(True, 0.9), (True, 0.5), (False, 0.5), (True, 0.5), (False, 0.2), (True, None)]
    assert values_of([record("a", tokens)])[AUC] == pytest.approx((2 + 1.5 + 1.5) / 6)
    pooled = [record("a", tokens[:2]), record("b", tokens[2:])]  # a pair may be of two videos
    assert values_of(pooled)[AUC] == pytest.approx(5 / 6)


def test_equal_to_four_decimals_is_a_tie() -> None:
    assert values_of([record("a", [(True, 0.30004), (False, 0.3)])])[AUC] == 0.5
    assert values_of([record("a", [(True, 0.3002), (False, 0.3)])])[AUC] == 1
    assert values_of([record("a", [(True, -0.1), (False, 0.1)])])[AUC] == 0


@pytest.mark.parametrize("tokens", [[(True, 0.5), (True, 0.1)], [(False, 0.5)], [(True, None), (False, None)]])
def test_one_kind_of_token_has_no_number(tokens: list[tuple[bool, float | None]]) -> None:
    assert AUC not in values_of([record("a", tokens)])


def test_without_marks_or_relevance_there_is_no_number() -> None:
    marked = record("a", [(True, 0.9), (False, 0.1)])
    assert AUC in values_of([marked])
    assert AUC not in values_of([replace(marked, fact_tokens=())])


def test_its_error_is_that_of_videos_drawn_anew() -> None:
    """Two videos: both are drawn half of the time, either of them twice a quarter each."""
    one = [(True, 0.9), (False, 0.5)]  # 1
    other = [(True, 0.2), (False, 0.7), (False, 0.1)]  # 1/2
    both = (3 + 1) / 6  # 0.9 is above all three of the wording, 0.2 above one
    found = summarise([record("a", one), record("b", other)], resamples=20_000)
    assert found.values[AUC] == pytest.approx(both)
    mean = (1 + 2 * both + 0.5) / 4
    variance = ((1 - mean) ** 2 + 2 * (both - mean) ** 2 + (0.5 - mean) ** 2) / 4
    assert found.errors[AUC] == pytest.approx(variance**0.5, rel=0.02)
    assert found.intervals[AUC] == pytest.approx((0.5, 1))
    assert AUC not in summarise([record("a", one), record("b", one[:1])], resamples=100).errors  # not in every draw


def test_draws_are_those_of_every_other_number() -> None:
    records = [record(name, [(True, high), (False, 0.5)]) for name, high in (("a", 0.9), ("b", 0.1), ("c", 0.5))]
    direct = estimate(auc.value, by_video(records), resamples=500)
    whole = summarise(records, resamples=500)
    assert (direct.value, direct.error) == (whole.values[AUC], whole.errors[AUC])
    assert direct[2:] == whole.intervals[AUC]


def test_draws_at_once_are_what_scikit_learn_says_of_each() -> None:
    rng = np.random.default_rng(0)
    videos = [
        relevance_sums((rng.random(30) < 0.3).tolist(), np.round(rng.random(30), 1).tolist())  # many ties
        for _ in range(6)
    ]
    counts = draw(6, resamples=40, seed=0)
    single = np.array(
        [auc.value(Sums(pooled(each for each, n in zip(videos, row, strict=True) for _ in range(n)))) for row in counts]
    )
    np.testing.assert_allclose(auc.value(Draws(videos, counts)), single, rtol=1e-12)


def test_it_is_a_metric_like_the_others() -> None:
    metric = METRICS[AUC]
    assert (metric.unit, metric.better) == ("score", "higher")
    assert metric.written(0.83333) == "0.833"


def test_marks_survive_json() -> None:
    marked = record("a", [(True, 0.9), (False, 0.1)])
    assert from_dict(json.loads(json.dumps(to_dict(marked)))) == marked


SAMPLE = Sample(id="a", video="a", question="?")


def spans_of(*spans: tuple[int, int]) -> Callable[[Sample, str], Iterable[tuple[int, int]]]:
    return lambda sample, text: spans


def test_a_token_is_a_fact_where_its_text_meets_one() -> None:
    pieces = ("A", " red", " squ", "are", "", " .")
    text = "A red square ."
    spans = [(2, 5), (text.index("square"), text.index("square") + 6)]
    assert fact_tokens(spans_of(*spans), SAMPLE, pieces) == (False, True, True, True, False, False)
    assert fact_tokens(spans_of((1, 2)), SAMPLE, pieces) == (False,) * 6  # white space alone
    assert fact_tokens(spans_of(), SAMPLE, ()) == ()


@pytest.mark.parametrize("span", [(-1, 2), (2, 1), (2, 2), (0, 9), (0.0, 1), (0, 1, 2), "a", None])
def test_what_is_no_span_is_the_samples_failure(span: object) -> None:
    with pytest.raises(SampleError, match=r"^fact_spans: "):
        fact_tokens(spans_of(span), SAMPLE, ("ab", " c"))  # type: ignore[arg-type]


def test_small_events_says_which_words_are_facts() -> None:
    spans = fact_spans_of(SmallEvents())
    text = "The Red shape is reddish and moves LEFT."
    assert spans is not None
    assert [text[first:last] for first, last in spans(SAMPLE, text)] == ["Red", "LEFT"]
    assert fact_spans_of(object()) is None
    assert np.isnan(auc.value(Sums()))
