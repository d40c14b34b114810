"""Runs that are compared are drawn together: what they have in common cancels."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from vsd.metrics import METRICS, by_video, estimate, summarise
from vsd.metrics.record import Record
from vsd.metrics.registry import Sums, Value
from vsd.types import Round, Sample, Trace

LENGTH = METRICS["accept/draft_length"].value


def run(accepted: Mapping[str, int]) -> list[Record]:
    """A sample a video, of one round that accepts so many tokens."""
    found = []
    for video, count in accepted.items():
        rounds = (Round(drafted=9, nodes=9, accepted=count, committed=count + 1, rejected=True),)
        seconds = {"decode": 0.1 * (video == "b") + 1.0, "first_token": 1.0, "total": 2.0}
        trace = Trace(tokens=tuple(range(count + 2)), rounds=rounds, seconds=seconds, target_forwards=1, visual=4,
                      kept=2, prompt=9, finish="eos")  # fmt: skip
        found.append(Record(sample=Sample(id=video, video=video, question="?"), trace=trace))
    return found


def less(ours: Sums, theirs: Sums) -> Value:
    return LENGTH(ours) - LENGTH(theirs)


def test_a_constant_difference_has_no_error() -> None:
    ours, theirs = by_video(run({"a": 5, "b": 2, "c": 9})), by_video(run({"a": 4, "b": 1, "c": 8}))
    assert estimate(LENGTH, ours).error > 1
    found = estimate(less, ours, theirs)
    assert (found.value, found.error) == pytest.approx((1, 0))
    assert found[2:] == pytest.approx((1, 1))


def test_the_error_of_a_difference_by_hand() -> None:
    """Differences of 2 and 0: both videos are drawn half of the time, either of them twice a quarter each."""
    ours, theirs = by_video(run({"a": 5, "b": 2})), by_video(run({"a": 3, "b": 2}))
    found = estimate(less, ours, theirs, resamples=40_000)
    assert found.value == pytest.approx(1)
    assert found.error == pytest.approx(0.5**0.5, rel=0.02)
    assert found[2:] == pytest.approx((0, 2))


def test_only_videos_of_both_runs_count() -> None:
    ours, theirs = by_video(run({"a": 5, "b": 2, "c": 7})), by_video(run({"b": 1, "a": 4, "d": 0}))
    assert estimate(less, ours, theirs)[:2] == pytest.approx((1, 0))
    alone = estimate(less, ours, by_video(run({"a": 4})))
    assert alone.value == pytest.approx(1)
    assert alone.error != alone.error  # of one video there is none


def test_the_order_of_records_is_of_no_account() -> None:
    records = run({name: place * place % 7 for place, name in enumerate("abcdefgh")})
    mixed = random.Random(0).sample(records, len(records))
    assert mixed != records
    assert summarise(mixed).flat() == summarise(records).flat()
