"""Running numbers are those that all samples so far would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.results.made import a_record
from vsd.metrics import metric_of, values_of
from vsd.metrics.record import Record
from vsd.metrics.running import Running
from vsd.metrics.sums import sums_of
from vsd.types import Sample, Score

RANDOM = np.random.default_rng(0)


def several() -> list[Record]:
    """With and without a baseline, with scores, two of one video, and one that failed."""
    made = [
        replace(
            a_record(f"v{number // 2}", [3, int(RANDOM.integers(0, 6))], 4.0 + number, name=f"s{number}"),
            scores={"facts": Score(number, 9)},
            baseline_scores={"facts": Score(8, 9)},
            peak_mb=float(9 - number),
        )
        for number in range(8)
    ]
    failed = Record(sample=Sample(id="bad", video="b.mp4", question="?"), failure="odd")
    alone = [replace(each, baseline=None, baseline_scores={}) for each in made[:3]]
    return [*alone, failed, *made[3:]]


@pytest.mark.parametrize("records", [several(), several()[::-1], several()[:4]], ids=["as they are", "back", "alone"])
def test_they_are_those_of_all_samples_so_far(records: Sequence[Record]) -> None:
    running = Running()
    for count, record in enumerate(records, 1):
        running.add(record)
        wanted = {name: value for name, value in values_of(records[:count]).items() if is_live(name)}
        assert running.values() == pytest.approx(wanted, rel=1e-12)
        assert wanted


def test_those_of_one_sample_are_returned() -> None:
    (record,) = several()[-1:]
    own = Running().add(record)
    assert own == {name: value for name, value in values_of([record]).items() if is_live(name)}
    assert {"accept/draft_length", "speed/decode", "quality/facts"} <= own.keys()


def is_live(name: str) -> bool:
    metric = metric_of(name)
    return metric is not None and metric.live


@pytest.mark.parametrize("name", ["accept/position_1", "time/decode", "quality/baseline_facts", "speed/predicted"])
def test_what_nobody_watches_is_no_curve(name: str) -> None:
    assert not is_live(name)


def test_the_cost_of_a_sample_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[str]()

    def counted(record: Record) -> dict[str, float]:
        calls.append(record.sample.id)
        return sums_of(record)

    monkeypatch.setattr("vsd.metrics.running.sums_of", counted)
    running, records = Running(), several()
    for record in records:
        running.add(record)
        running.values()
    assert calls == [record.sample.id for record in records]
