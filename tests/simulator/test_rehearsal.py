"""The simulator against closed forms, and against timelines worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist, fmean
from typing import Any

import pytest

from vsd.metrics import summarise
from vsd.parallelism import HIPPO, PARALLELVLM, PEARL, Autoregressive, Parallelism, Sequential
from vsd.simulator.acceptance import ByPosition, Script, rate
from vsd.simulator.rehearsal import Rehearsal, Setting, accuracy, simulate
from vsd.step_times.profile import Profile
from vsd.step_times.times import Given
from vsd.types import Trace

TIMES = Given(target=6.0, draft=1.0)
SHARP = 1e-9


def a_setting(**changes: Any) -> Setting:
    return replace(Setting(times=TIMES, acceptance=rate(0.8), tokens=200), **changes)


def speed(setting: Setting) -> tuple[float, float]:
    """speed/decode and its standard error."""
    records = simulate(setting, precision=0.015)
    value = summarise(records).values["speed/decode"]
    return value, accuracy(records) * value


def played(parallelism: Parallelism, draws: str, *, target: float, draft: float = 1.0, latency_s: float = 0.0) -> Trace:
    """Windows of two, behind a first token; draws is a 1 for each token that the draft has right."""
    script = Script(
        visual=0, text=1, limit=len(draws) + 1, draws=(0.9, *(1 - float(each) for each in draws)), odds=(0.5,)
    )
    times = Given(target=target, draft=draft, latency_s=latency_s)
    return Rehearsal(Setting(times=times, acceptance=rate(0.5), parallelism=parallelism, gamma=2)).play(script)


def told(trace: Trace) -> list[tuple[int, int, int, float, float, float]]:
    return [(r.proposed, r.accepted, r.wasted, r.draft_s, r.verify_s, r.wall_s) for r in trace.rounds]


@pytest.mark.parametrize("alpha", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("gamma", [1, 5])
def test_sequential_speed_is_that_of_the_formula(alpha: float, gamma: int) -> None:
    tau = (1 - alpha ** (gamma + 1)) / (1 - alpha)
    value, error = speed(a_setting(acceptance=rate(alpha), gamma=gamma))
    assert value == pytest.approx(tau / (gamma / 6 + 1), abs=3 * error, rel=0.005)
    assert error < 0.016 * value


@pytest.mark.parametrize(("alpha", "gamma"), [(0.5, 4), (0.8, 6), (0.8, 9), (0.95, 6)])
def test_parallel_speed_is_that_of_the_formula(alpha: float, gamma: int) -> None:
    """A round takes as long as its slower side. One without a window behind it commits one token; one with a window is
    followed by another such one if all of gamma tests pass."""
    long = alpha / (alpha + 1 - alpha**gamma)
    tokens = (1 - long) + long * (1 - alpha**gamma) / (1 - alpha)
    value, error = speed(a_setting(acceptance=rate(alpha), gamma=gamma, parallelism=PEARL))
    assert value == pytest.approx(6 * tokens / max(6, gamma), abs=3 * error, rel=0.005)


def test_the_target_alone_gains_nothing() -> None:
    records = simulate(a_setting(parallelism=Autoregressive(), tokens=20))
    assert summarise(records).values["speed/decode"] == 1
    assert records[0].baseline is not None
    assert records[0].baseline.seconds["decode"] == pytest.approx(19 * 6)


def test_all_right_and_all_wrong() -> None:
    assert speed(a_setting(acceptance=rate(1.0), gamma=5, tokens=199))[0] == pytest.approx(6 / (5 / 6 + 1), SHARP)
    # All but the last token, for which nothing is drafted any more.
    assert speed(a_setting(acceptance=rate(0.0), gamma=5))[0] == pytest.approx(199 * 6 / (_all_wrong_s()), SHARP)
    assert speed(a_setting(acceptance=rate(0.0), parallelism=PEARL, gamma=6))[0] == pytest.approx(1.0, SHARP)


def _all_wrong_s() -> float:
    """Each token costs a pass of the target and a draft of five, shorter where fewer are left."""
    return sum(6 + min(5, left - 1) for left in range(1, 200))


def test_rates_by_position_are_those_that_come_out() -> None:
    given = (0.9, 0.5, 0.7)
    values = summarise(simulate(a_setting(acceptance=ByPosition(given), gamma=4), precision=0.005)).values
    for place, share in enumerate((*given, 0.7), start=1):
        assert values[f"accept/position_{place}"] == pytest.approx(share, abs=0.02)


def test_a_tree_accepts_by_depth_and_costs_its_levels() -> None:
    setting = a_setting(acceptance=ByPosition((0.9, 0.5)), paths="0 1 0,0 0,1 1,0", gamma=2)
    records = simulate(setting)
    values = summarise(records).values
    assert values["accept/draft_length"] == pytest.approx(0.9 + 0.9 * 0.5, rel=0.03)
    assert records[0].trace is not None
    first = records[0].trace.rounds[0]
    assert (first.nodes, first.drafted, first.draft_s, first.verify_s) == (5, 2, 2.0, 6.0)


def test_sequential_rounds_by_hand() -> None:
    #                                                      tokens: 2 right and one behind | 1 wrong | 2 left: draft one
    assert told(played(Sequential(), "110" + "0" + "10", target=3.0)) == [
        (2, 2, 0, 2.0, 3.0, 5.0),
        (2, 0, 2, 2.0, 3.0, 5.0),
        (1, 1, 0, 1.0, 3.0, 4.0),
    ]


def test_parallel_rounds_by_hand_where_the_draft_waits() -> None:
    # The draft needs 2 s and twice 0.25 s for its messages: it is there before the target is done.
    trace = played(PEARL, "1100" + "11", target=3.0, latency_s=0.25)
    assert told(trace) == [
        (2, 1, 0, 2.0, 3.0, 3.0),  # the first token is tested at once
        (2, 1, 2, 2.0, 3.0, 3.0),  # the second stands, the third is refused, and the fourth is lost with it
        (2, 0, 2, 2.0, 3.0, 3.0),
        (2, 1, 0, 2.0, 3.0, 3.0),
        (0, 1, 0, 0.0, 3.0, 3.0),  # nothing is left to draft
    ]
    assert trace.seconds["decode"] == 15.0


def test_parallel_rounds_by_hand_where_the_target_waits() -> None:
    trace = played(PEARL, "1100" + "11", target=1.0, latency_s=0.25)
    assert [r.wall_s for r in trace.rounds] == [2.5, 2.5, 2.5, 2.5, 1.0]
    assert [r.verify_s for r in trace.rounds] == [1.0] * 5


def test_messages_cost_the_side_that_asks() -> None:
    profile = Profile(verify=((1, 3.0),), draft=1.0, message_s=0.25)
    setting = a_setting(times=profile, acceptance=rate(0.0), tokens=4, gamma=2, parallelism=PEARL)
    assert [r.wall_s for r in Rehearsal(setting).play(setting.script(0)).rounds] == [3.5, 3.5, 3.0]
    assert Rehearsal(replace(setting, parallelism=Sequential())).play(setting.script(0)).rounds[0].wall_s == 5.0


def test_both_sides_are_slower_beside_each_other() -> None:
    setting = a_setting(acceptance=rate(0.0), tokens=20, gamma=2, paces=(2.0, 20.0))
    # The target needs 12 s then, in which the draft does 0.6 s of its 2 s; in the last round nothing is drafted.
    assert speed(replace(setting, parallelism=PEARL))[0] == pytest.approx(19 * 6 / (18 * 13.4 + 6))
    setting = replace(setting, gamma=12, paces=(2.0, 1.5))
    # A window needs 18 s, 12 s of it beside the target, and only those are slowed down: 8 s of its work.
    speeds = [r.wall_s for r in Rehearsal(replace(setting, parallelism=PEARL)).play(setting.script(0)).rounds]
    assert speeds[0] == pytest.approx(12 + 4)
    assert speed(setting) == speed(replace(setting, paces=(1.0, 1.0)))  # in turn they are not


def test_uneven_steps_cost_those_who_wait_for_each_other() -> None:
    sigma = 0.5
    times = Profile(verify=((1, 2.0),), draft=1.0, spread=(sigma, sigma))
    setting = a_setting(times=times, acceptance=rate(0.0), tokens=5000, gamma=2)
    walls = [r.wall_s for r in Rehearsal(replace(setting, parallelism=PEARL)).play(setting.script(0)).rounds]
    # Of two log-normal factors with mean 1 the larger one is 2 Phi(sigma / sqrt 2) on average.
    assert fmean(walls[:-1]) == pytest.approx(2 * 2 * NormalDist().cdf(sigma / 2**0.5), rel=0.02)
    assert {r.wall_s for r in Rehearsal(setting).play(setting.script(0)).rounds[:-2]} == {4.0}  # nobody waits in turn


def test_stages_follow_each_other_or_overlap() -> None:
    times = Given(target=1, draft=1, encode=2, draft_encode=4, prefill=8, draft_prefill=16, prune=32)
    script = Script(visual=10, text=2, limit=2, draws=(0.0,) * 2, odds=(0.5,))
    setting = Setting(times=times, acceptance=rate(0.5), ratio=0.5, visual=10)
    trace = Rehearsal(setting).play(script)
    assert trace.seconds == {
        "encode": 2,
        "prefill": 8,
        "first_token": 10,
        "prune": 32,
        "draft_encode": 4,
        "draft_prefill": 16,
        "decode": 1,
        "total": 63,
    }
    assert (trace.visual, trace.kept, trace.prompt) == (10, 5, 12)
    overlapped = Rehearsal(replace(setting, parallelism=HIPPO)).play(script)
    assert overlapped.seconds["total"] == 63 - 4  # the draft reads the video while the target prefills


def test_a_first_window_is_drafted_within_the_prefill() -> None:
    times = Given(target=1, draft=1, encode=2, draft_encode=1, prefill=40, draft_prefill=16, prune=2)
    script = Script(visual=10, text=2, limit=4, draws=(0.0,) * 4, odds=(0.5,))
    schedule = replace(PARALLELVLM, length="fixed")
    setting = Setting(times=times, acceptance=rate(0.5), ratio=0.5, visual=10, gamma=3, parallelism=schedule)
    trace = Rehearsal(replace(setting, early=0.25)).play(script)
    # The evidence is there after 2 + 10 s, and the draft is done 2 + 16 + 2 s later: one token came from its prefill.
    assert trace.seconds["first_token"] == 2 + 40 + 2
    assert [(r.drafted, r.accepted, r.wall_s) for r in trace.rounds] == [(1, 1, 0.0), (2, 2, 1.0)]
    late = Rehearsal(replace(setting, early=0.75)).play(script)
    assert late.seconds["first_token"] == 2 + 30 + 2 + 16 + 2  # the target waits for it
    assert trace.devices == late.devices == 2


def test_the_same_seed_gives_the_same_generations() -> None:
    first, again, other = (simulate(a_setting(tokens=50, seed=seed), most=16) for seed in (3, 3, 4))
    assert first == again
    assert first != other
