"""Every metric against numbers worked out by hand (METHODS: four accepted lengths, three speeds)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from vsd.metrics import METRICS, metric_of, summarise
from vsd.metrics.audit import Audit
from vsd.metrics.record import Record, from_dict, to_dict
from vsd.run.tracking.tables import by_position
from vsd.types import Round, Sample, Trace


def summary(records: Sequence[Record]) -> dict[str, float]:
    return summarise(records).values


def one_round(accepted: int, *, drafted: int = 3, rejected: bool = True, committed: int | None = None) -> Round:
    committed = accepted + 1 if committed is None else committed
    timing: dict[str, Any] = {"draft_s": 0.1 * drafted, "verify_s": 1.0}
    relaxed: dict[str, Any] = {"relaxed": (0, 2), "gaps": (0.25, 0.5)} if accepted == 3 else {}
    return Round(
        drafted=drafted, nodes=drafted, accepted=accepted, committed=committed, rejected=rejected, **timing, **relaxed
    )


def trace(rounds: Sequence[Round], seconds: dict[str, float], *, tokens: int, forwards: int, kept: int = 2) -> Trace:
    return Trace(
        tokens=tuple(range(tokens)),
        rounds=tuple(rounds),
        seconds=seconds,
        target_forwards=forwards,
        visual=20,
        kept=kept,
        prompt=30,
        finish="length",
        shared="features" if kept == 4 else "pixels",
    )


def baseline(tokens: int) -> Trace:
    """One token per forward, one second each; the first token after 2 s."""
    decode = float(tokens - 1)
    seconds = {"decode": decode, "first_token": 2.0, "total": decode + 2.0}
    return trace([], seconds, tokens=tokens, forwards=tokens - 1, kept=20)


@pytest.fixture
def records() -> list[Record]:
    """Sample a: rounds that accept 3 of 3, 1 of 3 (rejected), 0 of 3 (rejected): 4 accepted, 7 committed, 8 tokens.
    Sample b: one round that accepts 2 of 2 with the generation ending inside it: 2 accepted, 2 committed, 3 tokens.
    """
    a = trace(
        [one_round(3, rejected=False), one_round(1), one_round(0)],
        {"decode": 3.9, "first_token": 2.5, "total": 7.0},
        tokens=8,
        forwards=3,
    )
    b = trace(
        [one_round(2, drafted=2, rejected=False, committed=2)],
        {"decode": 1.2, "first_token": 2.5, "total": 4.0},
        tokens=3,
        forwards=1,
        kept=4,
    )
    sample_a, sample_b = (Sample(id=name, video=f"{name}.mp4", question="?") for name in "ab")
    return [
        Record(sample=sample_a, trace=a, baseline=baseline(8), peak_mb=100.0),
        Record(sample=sample_b, trace=b, baseline=baseline(3), peak_mb=120.0),
        Record(sample=Sample(id="c", video="c.mp4", question="?"), failure="c.mp4: the file is empty"),
    ]


EXPECTED = {
    "accept/length": 9 / 4,  # (4 + 2 + 1) + 2 committed over 4 rounds
    "accept/draft_length": 6 / 4,
    "accept/run_length": 4 / 2,  # two rejections in a; b's two tokens are a run that never ended
    "accept/rate": 6 / 8,
    "accept/tokens_per_target_forward": 9 / 4,
    "accept/position_1": 3 / 4,  # accepted in 3 of 4 rounds, tested in all
    "accept/position_1_unconditional": 3 / 4,
    "accept/position_2": 2 / 3,  # tested after each accepted first token
    "accept/position_2_unconditional": 2 / 4,
    "accept/position_3": 1.0,  # reached once: b drafted no third token
    "accept/position_3_unconditional": 1 / 3,
    "relax/share": 2 / 6,
    "relax/gap": 0.375,
    "speed/tokens_per_s": 9 / 5.1,
    "speed/baseline_tokens_per_s": 1.0,
    "speed/decode": 9 / 5.1,
    "speed/end_to_end": (11 / 11.0) / (11 / 13.0),
    "speed/ttft": 4.0 / 5.0,
    "speed/cost_ratio": 10.0,
    "encode/vision_shared": 0.5,
    "encode/pixels_shared": 0.5,
    "prune/visual": 20.0,
    "prune/kept": 3.0,
    "time/decode": 2.55,
    "time/first_token": 2.5,
    "time/total": 5.5,
    "exact/mismatched": 0,
    "exact/near_tie": 0,
    "exact/unexplained": 0,
    "exact/violations": 0,
    "memory/peak_mb": 120.0,
    "samples/done": 2,
    "samples/failed": 1,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_metric_is_what_the_hand_says(name: str, records: list[Record]) -> None:
    assert summary(records)[name] == pytest.approx(EXPECTED[name])


def test_no_metric_is_missing_and_none_is_extra(records: list[Record]) -> None:
    only_parallel = {name for name in METRICS if name.startswith("parallel/")} | {"speed/equal_devices"}
    assert set(summary(records)) == {*EXPECTED, *METRICS} - only_parallel - {"quality/retention", "relevance/auc"}


def test_every_number_is_a_metric_with_a_formula(records: list[Record]) -> None:
    for name in summary(records):
        found = metric_of(name)
        assert found is not None
        assert found.name == name
        assert found.label
        assert found.formula.endswith(".")


@pytest.mark.parametrize(
    "name", ["accept/position_0", "accept/position_x", "accept/nothing", "time/", "quality/a b", ""]
)
def test_what_is_no_metric(name: str) -> None:
    assert metric_of(name) is None


def test_prediction_follows_the_theory(records: list[Record]) -> None:
    gamma, alpha, c = 11 / 4, 0.75, 10.0
    expected = (1 - alpha ** (gamma + 1)) / (1 - alpha) / (gamma / c + 1)
    values = summary(records)
    assert values["speed/predicted"] == pytest.approx(expected)
    assert values["speed/measured_to_predicted"] == pytest.approx(9 / 5.1 / expected)


# Three generations as PEARL's authors' code counts them: it adds up what is accepted, and at a rejection it appends the
# sum to a list, whose mean it prints at the end of all generations. A round here: accepted, rejected.
RUNS = {
    # Pre-verification refuses the first token: 0. It accepts the next one (1), post-verification a whole window (4),
    # then two and refuses the third (2): 7. It accepts one, and the generation ends: nothing.
    "gamma 4": [(0, True), (1, False), (4, False), (2, True), (1, False)],
    # 3 and a rejection, at once another one, 5 and a rejection with which the generation ends: [3, 0, 5]
    "ends with a rejection": [(3, True), (0, True), (5, True)],
    # never rejected: nothing is appended
    "never rejected": [(4, False), (4, False)],
}
APPENDED = {"gamma 4": [0, 7], "ends with a rejection": [3, 0, 5], "never rejected": []}


def answered(name: str) -> Record:
    rounds = [
        one_round(accepted, drafted=accepted + rejected, rejected=rejected, committed=accepted + rejected)
        for accepted, rejected in RUNS[name]
    ]
    tokens = 1 + sum(each.committed for each in rounds)
    seconds = {"decode": 1.0, "first_token": 1.0, "total": 2.0}
    found = trace(rounds, seconds, tokens=tokens, forwards=len(rounds))
    return Record(sample=Sample(id=name, video=f"{name}.mp4", question="?"), trace=found)


@pytest.mark.parametrize("name", RUNS)
def test_run_length_is_pearls(name: str) -> None:
    appended = APPENDED[name]
    expected = sum(appended) / len(appended) if appended else None
    assert summary([answered(name)]).get("accept/run_length") == expected


def test_runs_are_pooled_as_pearl_pools_them() -> None:
    pooled = [run for name in RUNS for run in APPENDED[name]]
    assert summary([answered(name) for name in RUNS])["accept/run_length"] == sum(pooled) / len(pooled) == 15 / 5


def test_prediction_of_a_perfect_draft_is_finite(records: list[Record]) -> None:
    values = summary(records[1:2])
    assert values["speed/predicted"] == pytest.approx((2 + 1) / (2 / 10 + 1))
    assert "accept/run_length" not in values


def test_pooled_totals_are_no_mean_of_ratios(records: list[Record]) -> None:
    mean = sum(summary([record])["accept/length"] for record in records[:2]) / 2
    assert summary(records)["accept/length"] != pytest.approx(mean)


def test_rounds_without_a_draft_are_no_rounds(records: list[Record]) -> None:
    plain = one_round(0, drafted=0, rejected=False)
    a = records[0].trace
    assert a is not None
    longer = trace([*a.rounds, plain], dict(a.seconds), tokens=9, forwards=4)
    values = summary([Record(sample=records[0].sample, trace=longer)])
    assert values["accept/length"] == pytest.approx(7 / 3)
    assert values["accept/tokens_per_target_forward"] == pytest.approx(8 / 4)


def test_autoregressive_has_no_acceptance_and_speed_one(records: list[Record]) -> None:
    alone = Record(sample=records[0].sample, trace=baseline(8), baseline=baseline(8))
    values = summary([alone])
    assert not [name for name in values if name.startswith("accept/") and name != "accept/tokens_per_target_forward"]
    assert values["accept/tokens_per_target_forward"] == 1
    assert values["speed/decode"] == values["speed/end_to_end"] == values["speed/ttft"] == 1
    assert "speed/predicted" not in values


def test_without_a_baseline_there_is_no_speed_up(records: list[Record]) -> None:
    values = summary([Record(sample=records[0].sample, trace=records[0].trace)])
    assert {name for name in values if name.startswith("speed/")} == {"speed/tokens_per_s", "speed/device_s_per_token"}
    assert "exact/mismatched" not in values


def test_mismatched_counts_samples(records: list[Record]) -> None:
    other = Record(sample=records[0].sample, trace=records[0].trace, baseline=baseline(7))
    values = summary([other, records[1]])
    assert values["exact/mismatched"] == 1
    assert "exact/unexplained" not in values  # nobody looked


def test_mismatches_are_near_ties_or_unexplained(records: list[Record]) -> None:
    other = Record(sample=records[0].sample, trace=records[0].trace, baseline=baseline(7))
    gaps = (0.0, 0.125, 0.126, None)
    audits = [Audit(place=1, ours=3, baseline=4, gap=gap, step=1 / 32, limit=4) for gap in gaps]
    values = summary([records[1], *(replace(other, audit=each) for each in audits)])
    assert [values[f"exact/{name}"] for name in ("mismatched", "near_tie", "unexplained")] == [4, 2, 2]


def test_records_without_an_audit_can_be_read(records: list[Record]) -> None:
    row = json.loads(json.dumps(to_dict(records[0])))
    assert from_dict(row) == records[0]
    del row["audit"]
    assert from_dict(row) == records[0]
    audit = Audit(place=1, ours=3, baseline=None, gap=0.5, step=0.1, limit=4)
    assert from_dict(json.loads(json.dumps(to_dict(replace(records[0], audit=audit))))).audit == audit


def test_nothing_done() -> None:
    assert summary([]) == {"samples/done": 0, "samples/failed": 0}
    assert summarise([]).errors == {}


def test_all_numbers_are_finite(records: list[Record]) -> None:
    assert all(math.isfinite(value) for value in summary(records).values())


def test_the_standard_error_is_that_of_videos_drawn_anew(records: list[Record]) -> None:
    """Two videos: both are drawn half of the time, either of them twice a quarter each."""
    found = summarise(records, resamples=40_000)
    for name, of_a, of_b in (("prune/kept", 2.0, 4.0), ("accept/length", 7 / 3, 2.0)):
        both = found.values[name]
        mean = (of_a + 2 * both + of_b) / 4
        variance = ((of_a - mean) ** 2 + 2 * (both - mean) ** 2 + (of_b - mean) ** 2) / 4
        assert found.errors[name] == pytest.approx(math.sqrt(variance), rel=0.02)
        assert found.intervals[name] == pytest.approx((min(of_a, of_b), max(of_a, of_b)))
    assert "accept/run_length" not in found.errors  # undefined without a
    assert not {"exact/mismatched", "samples/done", "memory/peak_mb"} & set(found.errors)


def test_the_contents_of_metrics_json(records: list[Record]) -> None:
    found = summarise(records)
    flat = found.flat()
    assert flat["prune/kept"] == 3.0
    assert flat["prune/kept_se"] == found.errors["prune/kept"]
    assert (flat["prune/kept_low"], flat["prune/kept_high"]) == found.intervals["prune/kept"]
    assert "samples/done_se" not in flat


def test_one_sample_has_no_standard_error(records: list[Record]) -> None:
    assert summarise(records[:1]).errors == {}


def test_the_curve_over_places(records: list[Record]) -> None:
    assert by_position(summary(records)).rows == [[1, 3 / 4], [2, pytest.approx(2 / 3)], [3, 1.0]]


def test_records_survive_json(records: list[Record]) -> None:
    import json

    for record in records:
        assert from_dict(json.loads(json.dumps(to_dict(record)))) == record


def test_rounds_that_overlap_say_how_much_and_what_was_for_nothing() -> None:
    def ahead(accepted: int, wasted: int, wall_s: float) -> Round:
        return Round(drafted=3, nodes=3, accepted=accepted, committed=3, rejected=accepted < 3, proposed=4, ahead=4,
                     wasted=wasted, draft_s=2.0, verify_s=3.0, wait_s=0.25, wall_s=wall_s)  # fmt: skip

    first = Round(drafted=1, nodes=1, accepted=1, committed=1, rejected=False, proposed=0, ahead=4, draft_s=0.0)
    last = Round(drafted=3, nodes=3, accepted=3, committed=4, rejected=False, verify_s=3.0, wall_s=3.0)
    rounds = [first, ahead(3, 0, 3.5), ahead(2, 4, 4.0), last]
    seconds = {"decode": 10.5, "first_token": 2.0, "total": 13.0}
    found = summary(
        [
            Record(
                sample=Sample(id="a", video="a.mp4", question="?"),
                trace=replace(trace(rounds, seconds, tokens=11, forwards=3), devices=2),
                baseline=baseline(11),
            )
        ]
    )
    assert found["parallel/overlap"] == pytest.approx((1.5 + 1.0) / (2.0 + 2.0))
    assert found["parallel/wasted"] == pytest.approx(4 / 8)
    assert found["parallel/target_wait"] == pytest.approx(0.5 / 7.5)
    assert found["parallel/draft_wait"] == pytest.approx(1 - 4.0 / 7.5)
    assert found["speed/device_s_per_token"] == pytest.approx(2 * 10.5 / 10)
    assert found["speed/equal_devices"] == pytest.approx(found["speed/decode"] / 2)
    assert found["speed/cost_ratio"] == pytest.approx(1.0 / (4.0 / 8))  # drafted tokens, however many were tested
    assert "speed/predicted" not in found


def test_questions_about_one_video_are_no_independent_samples(records: list[Record]) -> None:
    def of(video: str, record: Record) -> Record:
        return replace(record, sample=replace(record.sample, id=f"{record.sample.id} again", video=video))

    twice = [*records, of("a.mp4", records[0]), of("b.mp4", records[1])]
    once, again = (summarise(each).errors for each in (records, twice))
    assert {name: again[name] for name in once if not name.startswith("time/")} == pytest.approx(
        {name: value for name, value in once.items() if not name.startswith("time/")}
    )
    assert summarise([records[0], of("a.mp4", records[0])]).errors == {}
