"""Two runs of one setting are not told apart, and a true difference is found as often as it should be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tests.results.made import a_record, a_run, records_of
from vsd.metrics import values_of
from vsd.metrics.record import Record
from vsd.run.results.comparison import Difference, common, compared, told_apart

SPEED = "speed/decode"


def difference(first: float, second: float, seed: int, videos: int = 24) -> Difference:
    random = np.random.default_rng(seed)
    effects = random.normal(0, 0.3, videos)  # of the videos, which both runs have in common
    one, other = (a_run(records_of(random, videos, speed, effects)) for speed in (first, second))
    (found,) = compared(one, other, [SPEED])
    return found


def test_two_runs_of_one_setting_are_not_told_apart() -> None:
    """19 times of 20: of 200 pairs 10 are expected to be told apart, and more than 20 in one of 1,000 such tests."""
    apart = sum(difference(2.0, 2.0, seed).verdict != "not told apart" for seed in range(200))
    assert apart <= stats.binom.ppf(0.999, 200, 0.05)


def test_a_difference_of_two_standard_errors_is_found_every_other_time() -> None:
    error = 2.0 * float(np.mean([difference(2.0, 2.0, seed).by.error for seed in range(20)]))
    better = sum(difference(2.0, 2.0 + 2 * error, seed).verdict == "better" for seed in range(200, 400))
    power = 1 - stats.nct.cdf(stats.t.ppf(0.975, 23), 23, 2.0)
    assert abs(better / 200 - power) < 4 * math.sqrt(power * (1 - power) / 200)


def test_what_videos_have_in_common_cancels() -> None:
    """The videos differ by more than the runs do."""
    found = difference(2.0, 2.2, 0)
    assert found.verdict == "better"
    assert found.by.value == pytest.approx(1.1, abs=0.05)
    alone = np.std([values_of([record])[SPEED] for record in records(0)])
    assert alone / math.sqrt(24) > 2 * found.by.error


def records(seed: int) -> list[Record]:
    random = np.random.default_rng(seed)
    return [*records_of(random, 24, 2.0, random.normal(0, 0.3, 24))]


def test_which_way_is_better_is_the_metrics_own() -> None:
    slow, fast = (a_run([a_record(f"v{n}", [5], 10.0 * s + n * 1e-6) for n in range(4)]) for s in (1.0, 0.5))
    by_name = {found.metric.name: found for found in compared(slow, fast)}
    assert by_name[SPEED].verdict == "better"
    assert by_name[SPEED].by.value == pytest.approx(2.0, rel=1e-4)
    assert by_name["accept/length"].verdict == "the same"
    assert {found.metric.name: found for found in compared(fast, slow)}[SPEED].verdict == "worse"


def test_only_what_both_have_finished_counts() -> None:
    ours = [a_record(f"v{n}", [5], 5.0) for n in range(4)]
    theirs = [a_record(f"v{n}", [5], 5.0) for n in range(2, 6)]
    theirs[0] = type(theirs[0])(sample=theirs[0].sample, failure="no such file")
    first, second = common(a_run(ours), a_run(theirs))
    assert [record.sample.id for record in first] == [record.sample.id for record in second] == ["v3"]


@pytest.mark.parametrize(
    ("off", "error", "videos", "expected"),
    [
        (1.0, 0.4, 100, True),
        (1.0, 0.6, 100, False),
        (1.0, 0.4, 3, False),  # the t distribution of two degrees of freedom
        (1.0, math.nan, 1, False),
        (1.0, 0.0, 5, True),
        (0.0, 0.0, 5, False),
    ],
)
def test_told_apart(off: float, error: float, videos: int, expected: bool) -> None:
    assert told_apart(off, error, videos) == expected == told_apart(-off, error, videos)
