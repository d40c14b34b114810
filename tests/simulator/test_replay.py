"""A recorded run, played again: round by round the same, and another schedule with the same tokens right."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tests.zoo_in_code import save_qwen
from vsd.engine import Engine
from vsd.executors import Inline
from vsd.models import VideoLM, load
from vsd.parallelism import PEARL, Autoregressive, Parallelism, Sequential
from vsd.pruners.uniform import Uniform
from vsd.simulator.acceptance import Replay, rates, right
from vsd.simulator.rehearsal import Setting, simulate
from vsd.step_times.times import Given
from vsd.types import Round, Trace, Video

RATIO = 0.1
LIMIT = 60  # cuts some of the generations
QUESTIONS = ("What is it?", "Why?", "Who moves?", "Where?", "How many?")
TIMES = Given(target=5.0, draft=1.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, video: Video) -> tuple[VideoLM, VideoLM]:
    """A target, and a draft that agrees with it on half of the tokens. The first generation ends with its 41st
    token."""
    root = tmp_path_factory.mktemp("replay")
    target, draft = (
        load(str(save_qwen(root / name, noise=noise)), dtype="float64") for name, noise in (("a", 0), ("b", 0.003))
    )
    target.eos = draft.eos = frozenset()
    alone = Engine(target=target, parallelism=Autoregressive(), max_new_tokens=LIMIT)
    target.eos = draft.eos = frozenset({alone.run(video, QUESTIONS[0]).tokens[40]})
    return target, draft


def recorded(models: tuple[VideoLM, VideoLM], video: Video, parallelism: Parallelism, gamma: int = 4) -> list[Trace]:
    target, draft = models
    pruner = Uniform(ratio=RATIO)
    engine = Engine(
        target=target,
        draft=draft,
        pruner=pruner,
        parallelism=parallelism,
        executor=Inline(),
        gamma=gamma,
        max_new_tokens=LIMIT,
    )
    return [engine.run(video, question) for question in QUESTIONS]


@pytest.fixture(scope="module")
def sequential(models: tuple[VideoLM, VideoLM], video: Video) -> list[Trace]:
    return recorded(models, video, Sequential())


@pytest.fixture(scope="module")
def parallel(models: tuple[VideoLM, VideoLM], video: Video) -> list[Trace]:
    return recorded(models, video, PEARL)


def told(trace: Trace) -> list[Round]:
    """Its rounds without their times."""
    spans: dict[str, Any] = {field.name: 0.0 for field in fields(Round) if field.name.endswith("_s")}
    return [replace(each, **spans) for each in trace.rounds]


def replayed(traces: list[Trace], parallelism: Parallelism, gamma: int = 4) -> list[Trace]:
    same: dict[str, Any] = {"times": TIMES, "ratio": RATIO, "visual": 1}
    setting = Setting(acceptance=Replay(traces), parallelism=parallelism, gamma=gamma, **same)
    return [record.trace for record in simulate(setting) if record.trace is not None]


def test_a_sequential_run_is_reproduced(sequential: list[Trace]) -> None:
    for ours, theirs in zip(replayed(sequential, Sequential()), sequential, strict=True):
        assert told(ours) == told(theirs)
        assert (ours.finish, len(ours.tokens), ours.prompt) == (theirs.finish, len(theirs.tokens), theirs.prompt)
        assert (ours.visual, ours.kept, ours.target_forwards) == (theirs.visual, theirs.kept, theirs.target_forwards)
    assert {trace.finish for trace in sequential} == {"eos", "length"}


def test_a_parallel_run_is_reproduced(parallel: list[Trace]) -> None:
    for ours, theirs in zip(replayed(parallel, PEARL), parallel, strict=True):
        assert told(ours) == told(theirs)


def test_one_schedule_tells_of_the_other(sequential: list[Trace], parallel: list[Trace]) -> None:
    """A draft's token does not depend on the schedule: what both tested, both say the same of."""
    for one, other in zip(sequential, parallel, strict=True):
        both = [(a, b) for a, b in zip(right(one), right(other), strict=True) if None not in (a, b)]
        assert len(both) > 30
        assert all(a == b for a, b in both)
        assert None not in right(other)[1:-1]  # working ahead leaves no token untested


def test_rates_of_places(sequential: list[Trace]) -> None:
    found = rates(sequential, 4)
    assert len(found) == 4
    tested = sum(each.accepted + each.rejected > 0 for trace in sequential for each in trace.rounds)
    accepted = sum(each.accepted > 0 for trace in sequential for each in trace.rounds)
    assert found[0] == accepted / tested


def test_what_cannot_be_replayed() -> None:
    empty = Trace(tokens=(1,), rounds=(), seconds={}, target_forwards=0, visual=1, kept=1, prompt=2, finish="eos")
    tree = replace(empty, rounds=(Round(drafted=2, nodes=3, accepted=0, committed=1, rejected=True),))
    with pytest.raises(ValueError, match=r"^traces: must be rounds that tested drafts, got "):
        Replay([empty])
    with pytest.raises(ValueError, match=r"^traces: must be rounds of chains, got 'trees'"):
        Replay([tree])
