"""Real models in the time of another machine: the tokens are the same, the seconds are the profile's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from torch import Tensor

from tests.conftest import Pair
from vsd.engine import Engine
from vsd.evidence import layer_number
from vsd.executors import Executor, Inline
from vsd.executors.simulated import Simulated, read_profile
from vsd.parallelism import HIPPO, PARALLELVLM, PEARL, Autoregressive, Parallelism, Sequential
from vsd.pruners.base import ScorePruner
from vsd.pruners.uniform import Uniform
from vsd.pruners.uv_prune import UVPrune
from vsd.step_times.profile import Profile
from vsd.types import Evidence, Trace, Video

# Seconds of a token in prefills and towers; a target pass of one token takes 3 s, of each further one 0.5 s more.
PROFILE = Profile(
    verify=((1, 3.0), (3, 4.0)),
    draft=1.0,
    window_s=0.5,
    encode=0.5,
    draft_encode=0.25,
    prefill=2.0,
    draft_prefill=1.0,
    prune=0.125,
)


EARLY = replace(PARALLELVLM, length="fixed")


@pytest.fixture
def simulated(tmp_path: Path) -> Simulated:
    PROFILE.save(tmp_path / "profile.json")
    return Simulated(profile=str(tmp_path / "profile.json"))


def decoded(
    pair: Pair, video: Video, parallelism: Parallelism, executor: Executor, **changes: Any
) -> tuple[Trace, Trace]:
    """A trace, and that of the target alone."""
    options: dict[str, Any] = {
        "draft": pair.draft,
        "pruner": Uniform(ratio=0.5),
        "gamma": 3,
        "max_new_tokens": 12,
    } | changes
    engine = Engine(target=pair.target, parallelism=parallelism, executor=executor, **options)
    return engine.run(video, "What is it?"), engine.baseline().run(video, "What is it?")


@pytest.mark.parametrize("schedule", [Sequential(), PEARL, HIPPO, EARLY], ids=["sequential", "pearl", "hippo", "early"])
def test_tokens_and_rounds_are_the_same(pair: Pair, video: Video, simulated: Simulated, schedule: Parallelism) -> None:
    inline, alone = decoded(pair, video, schedule, Inline())
    ours, _ = decoded(pair, video, schedule, simulated)
    assert ours.tokens == inline.tokens == alone.tokens
    told = [(r.drafted, r.accepted, r.committed, r.wasted) for r in inline.rounds]
    assert [(r.drafted, r.accepted, r.committed, r.wasted) for r in ours.rounds] == told
    assert (inline.simulated, ours.simulated) == (False, True)


def test_sequential_seconds_are_the_profiles(pair: Pair, video: Video, simulated: Simulated) -> None:
    trace, alone = decoded(pair, video, Sequential(), simulated)
    seconds, visual, text = trace.seconds, trace.visual, trace.prompt - trace.visual
    assert seconds["encode"] == visual * 0.5
    assert seconds["prefill"] == trace.prompt * 2
    assert seconds["draft_encode"] == visual * 0.25
    assert seconds["draft_prefill"] == trace.kept + text
    assert seconds["prune"] == visual * 0.125
    assert [(r.draft_s, r.verify_s) for r in trace.rounds] == [
        (r.drafted + 0.5 * bool(r.drafted), 3 + r.nodes / 2) for r in trace.rounds
    ]
    parts = ("encode", "prefill", "draft_encode", "draft_prefill", "prune", "decode")
    assert seconds["total"] == sum(seconds[part] for part in parts)
    assert alone.simulated
    assert alone.seconds["decode"] == 3 * (len(alone.tokens) - 1)
    assert trace.devices == alone.devices == 1


def test_parallel_rounds_take_the_slower_side(pair: Pair, video: Video, simulated: Simulated) -> None:
    trace, _ = decoded(pair, video, PEARL, simulated)
    for each in trace.rounds:
        assert each.draft_s == each.proposed + 0.5 * bool(each.proposed)
        assert each.wall_s == max(each.draft_s, each.verify_s)
    assert trace.devices == 2


def test_a_first_window_begins_after_the_layer(pair: Pair, video: Video, simulated: Simulated) -> None:
    trace, _ = decoded(pair, video, EARLY, simulated, pruner=UVPrune(ratio=0.5, layer="0.5"))
    share = layer_number("0.5", pair.target.depth) / pair.target.depth
    prefill, prune = 2.0 * trace.prompt, trace.seconds["prune"]
    assert trace.seconds["prefill"] == pytest.approx(prefill + prune)  # which lies within
    early = trace.seconds["encode"] + prefill * share + prune
    # The window waits for the pruning, not for the draft's tower, which is done by then.
    drafted = early + trace.seconds["draft_prefill"] + 0.5 + 2
    prefilled = trace.seconds["encode"] + trace.seconds["prefill"]
    assert trace.seconds["first_token"] == pytest.approx(max(prefilled, drafted))


def test_a_model_that_drafts_for_itself(pair: Pair, video: Video, simulated: Simulated) -> None:
    alone = {"draft": pair.target, "pruner": None}
    sequential, expected = decoded(pair, video, Sequential(), simulated, **alone)
    parallel, _ = decoded(pair, video, PARALLELVLM, simulated, **alone)
    assert sequential.tokens == parallel.tokens == expected.tokens
    assert sequential.seconds["draft_encode"] == 0  # it takes over the target's prompt


def test_what_the_vision_tower_attends_to_is_there(pair: Pair, video: Video, simulated: Simulated) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Seen(ScorePruner):
        needs: ClassVar[frozenset[str]] = frozenset({"vision_attention"})

        def score(self, evidence: Evidence) -> Tensor:
            attention_V: Tensor = evidence["vision_attention"]
            return attention_V

    (ours, alone), (inline, _) = (
        decoded(pair, video, Sequential(), executor, pruner=Seen(ratio=0.5)) for executor in (simulated, Inline())
    )
    assert ours.tokens == inline.tokens == alone.tokens
    assert [each.accepted for each in ours.rounds] == [each.accepted for each in inline.rounds]


def test_the_target_alone(pair: Pair, video: Video, simulated: Simulated) -> None:
    trace, alone = decoded(pair, video, Autoregressive(), simulated)
    assert trace.tokens == alone.tokens
    assert trace.seconds == alone.seconds


def test_a_roofline_of_the_very_models(pair: Pair, video: Video) -> None:
    trace, alone = decoded(pair, video, PEARL, Simulated(profile="l40s*8,h100"))
    assert trace.tokens == alone.tokens
    assert 0 < alone.seconds["decode"] < 1
    assert (trace.devices, alone.devices) == (9, 8)


@pytest.mark.parametrize("source", ["", "tpu", "h100*0", "h100*x", "h100,h100,h100", "nowhere.json"])
def test_what_is_no_source_of_times(source: str) -> None:
    with pytest.raises(ValueError, match=r"^executor.profile: must be a file of step times, or devices .*, got "):
        read_profile(source)
    with pytest.raises(ValueError, match=r"^executor.profile: must be a file of step times, or devices .*, got "):
        Simulated(profile=source)
