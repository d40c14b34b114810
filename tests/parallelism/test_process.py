"""A draft worker in a process of its own: the same tokens, and what happens when it dies, hangs or has no room."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from tests.conftest import ONE_FAMILY, Pair
from vsd.draft import DraftRunner, load_runner
from vsd.drafters import Chain, Drafter
from vsd.engine import Engine
from vsd.executors import Inline, Process, process
from vsd.executors.process import ProcessClient
from vsd.models import Checkpoint, VideoLM, inspect
from vsd.models.cache import State
from vsd.models.steps import Compile
from vsd.parallelism import Parallel
from vsd.pruners.uniform import Uniform
from vsd.types import Context, Draft, SampleError, Trace, Video
from vsd.utils import child_process
from vsd.utils.random_source import RandomSource
from vsd.verifiers import Greedy, Verifier
from vsd.verifiers.sampling import Sampling

QUESTION = "What moves, and what moves?"
TOKENS = 24
AROUND_S = 4.0  # for what the sample does beside waiting
EARLY = Parallel(overlap_prefill=True, early_draft=True)
pytestmark = pytest.mark.usefixtures("quick_workers")


@dataclass(frozen=True, kw_only=True)
class Troubled(Chain):
    """A chain that gets into trouble once, when it has drafted this often: afterwards `mark` tells it not to."""

    mark: str
    trouble: str
    after: int = 2

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        if len(context.rounds) >= self.after and not os.path.exists(self.mark):
            Path(self.mark).touch()
            if self.trouble == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.trouble == "hung":
                time.sleep(60)
            elif self.trouble == "full":
                raise torch.OutOfMemoryError("no room for a draft")
        return super().propose(context, model, state, gamma, random)


def build(
    pair: Pair, *, drafter: Drafter | None = None, verifier: Verifier | None = None, timeout_s: float = 60
) -> Engine:
    return Engine(
        target=pair.target,
        draft=Checkpoint(path=str(pair.draft_path), dtype="float64"),
        pruner=Uniform(ratio=0.5),
        drafter=drafter,
        verifier=verifier,
        parallelism=EARLY,
        executor=Process(timeout_s=timeout_s, threads=1),
        gamma=4,
        max_new_tokens=TOKENS,
    )


@pytest.fixture(scope="module")
def engine(pair: Pair, quick_workers: None) -> Iterator[Engine]:
    found = build(pair)
    yield found
    found.close()


@pytest.fixture(scope="module")
def expected(pair: Pair, video: Video) -> Trace:
    return Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS).baseline().run(video, QUESTION)


def pid(engine: Engine) -> int:
    assert isinstance(engine.client, ProcessClient)
    found = engine.client._child.pid
    assert found is not None
    return found


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_tokens_are_the_targets_own_and_the_worker_stays(engine: Engine, video: Video, expected: Trace) -> None:
    first = engine.run(video, QUESTION)
    worker = pid(engine)
    second = engine.run(video, QUESTION)
    assert first.tokens == second.tokens == expected.tokens
    assert pid(engine) == worker
    assert first.shared == "nothing"  # it has said what its tower is
    assert {"draft_encode", "draft_prefill"} <= set(first.seconds)
    assert first.kept == first.visual // 2


@ONE_FAMILY
def test_a_worker_of_a_fresh_python_says_the_same(
    pair: Pair, video: Video, expected: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "CONTEXT", multiprocessing.get_context("spawn"))
    engine = build(pair)
    assert engine.run(video, QUESTION).tokens == expected.tokens
    assert isinstance(engine.client, ProcessClient)
    assert type(engine.client._child._process).__name__ == "SpawnProcess"
    engine.close()


def test_the_rounds_are_those_of_one_thread(engine: Engine, pair: Pair, video: Video) -> None:
    inline = Engine(
        target=pair.target,
        draft=pair.draft,
        pruner=Uniform(ratio=0.5),
        parallelism=EARLY,
        executor=Inline(),
        gamma=4,
        max_new_tokens=TOKENS,
    )
    ours, theirs = (run.run(video, QUESTION).rounds for run in (engine, inline))
    assert [(each.proposed, each.accepted, each.wasted) for each in ours] == [
        (each.proposed, each.accepted, each.wasted) for each in theirs
    ]


@ONE_FAMILY
def test_probabilities_cross_when_drafts_are_drawn(pair: Pair, video: Video) -> None:
    params: dict[str, Any] = {"temperature": 0.8, "top_p": 0.9}
    drafter, verifier = Chain(**params), Sampling(**params)
    ours = build(pair, drafter=drafter, verifier=verifier)
    theirs = Engine(
        target=pair.target,
        draft=pair.draft,
        pruner=Uniform(ratio=0.5),
        drafter=drafter,
        verifier=verifier,
        parallelism=EARLY,
        executor=Inline(),
        gamma=4,
        max_new_tokens=TOKENS,
    )
    assert ours.run(video, QUESTION, seed=3).tokens == theirs.run(video, QUESTION, seed=3).tokens
    ours.close()


@ONE_FAMILY
@pytest.mark.parametrize(
    ("trouble", "error", "message"),
    [
        ("killed", SampleError, "draft: its worker must live through the sample, got exit code -9"),
        ("hung", SampleError, "draft: its worker must answer within 3 s, got nothing"),
        ("full", torch.OutOfMemoryError, "no room for a draft"),
    ],
)
def test_trouble_ends_one_sample(
    pair: Pair, video: Video, expected: Trace, tmp_path: Path, trouble: str, error: type[Exception], message: str
) -> None:
    engine = build(pair, drafter=Troubled(mark=str(tmp_path / "mark"), trouble=trouble), timeout_s=3)
    assert engine.client is not None
    engine.client.ready()
    first, began = pid(engine), time.perf_counter()
    with pytest.raises(error, match=message):
        engine.run(video, QUESTION)
    assert time.perf_counter() - began < 3 + AROUND_S
    assert is_gone(first)
    assert engine.run(video, QUESTION).tokens == expected.tokens
    second = pid(engine)
    assert second != first
    engine.close()
    assert is_gone(second)


@ONE_FAMILY
def test_frames_that_no_pipe_holds_do_not_wait_for_a_stopped_worker(
    engine: Engine, video: Video, expected: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.run(video, QUESTION)
    first = pid(engine)
    large = Video(frames=np.zeros((6, 500, 1000, 3), np.uint8), timestamps=video.timestamps)
    os.kill(first, signal.SIGSTOP)
    began = time.perf_counter()
    with monkeypatch.context() as patch:
        patch.setattr(engine.client, "_timeout_s", 0.5)
        with pytest.raises(SampleError, match=r"draft: its worker must answer within 0\.5 s, got nothing"):
            engine.run(large, QUESTION)
    assert time.perf_counter() - began < 0.5 + AROUND_S
    assert is_gone(first)
    assert engine.run(video, QUESTION).tokens == expected.tokens


def test_a_target_in_trouble_leaves_the_worker_ready(
    engine: Engine, pair: Pair, video: Video, expected: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    verify = Greedy.verify

    def failing(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise torch.OutOfMemoryError("no room for the target")
        return verify(*args)

    engine.run(video, QUESTION)
    worker = pid(engine)
    with monkeypatch.context() as patch:
        patch.setattr(Greedy, "verify", failing)
        with pytest.raises(torch.OutOfMemoryError, match="no room for the target"):
            engine.run(video, QUESTION)
    assert engine.run(video, QUESTION).tokens == expected.tokens
    assert pid(engine) == worker


@ONE_FAMILY
def test_a_draft_that_cannot_be_loaded_is_told(pair: Pair, video: Video, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"draft\.path"):
        Engine(
            target=pair.target,
            draft=Checkpoint(path=str(tmp_path / "nothing")),
            executor=Process(),
        )


@ONE_FAMILY
def test_a_loaded_draft_is_refused(pair: Pair) -> None:
    with pytest.raises(ValueError, match="draft: a process of its own loads its own model"):
        Engine(target=pair.target, draft=pair.draft, executor=Process())


@ONE_FAMILY
def test_a_download_is_no_part_of_the_start(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be had is said by this process, before it starts another."""
    monkeypatch.setattr(ProcessClient, "ready", None)
    monkeypatch.setattr("vsd.models.pair.inspect", lambda path, field: inspect(str(pair.draft_path)))
    with pytest.raises(ValueError, match=r"draft\.path: 'nobody/nothing' must be a checkpoint folder or a hub name"):
        Engine(
            target=pair.target,
            draft=Checkpoint(path="nobody/nothing"),
            executor=Process(),
        )


@ONE_FAMILY
def test_the_worker_starts_before_the_target_is_loaded(
    pair: Pair, video: Video, expected: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun = Checkpoint.load, list[bool]()

    def load(self: Checkpoint) -> VideoLM:
        begun.append(any(child.name == "vsd-draft" for child in multiprocessing.active_children()))
        return real(self)

    monkeypatch.setattr(Checkpoint, "load", load)
    target, draft = (Checkpoint(path=str(path), dtype="float64") for path in (pair.target_path, pair.draft_path))
    engine = Engine(target=replace(target, field="target"), draft=draft, parallelism=EARLY, max_new_tokens=TOKENS)
    assert begun == [True]
    assert engine.run(video, QUESTION).tokens == expected.tokens
    engine.close()


@ONE_FAMILY
def test_a_target_that_cannot_be_loaded_leaves_no_worker(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {child.pid for child in multiprocessing.active_children()}
    monkeypatch.setattr(Checkpoint, "load", Mock(side_effect=ValueError("target.path: must hold weights")))
    checkpoint = Checkpoint(path=str(pair.draft_path), dtype="float64")
    with pytest.raises(ValueError, match="must hold weights"):
        Engine(target=checkpoint, draft=checkpoint, executor=Process())
    assert {child.pid for child in multiprocessing.active_children()} == before


@ONE_FAMILY
def test_a_worker_has_time_to_compile(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def client(make: Any, *, timeout_s: float, threads: int) -> Mock:
        given.append(timeout_s)
        return Mock()

    monkeypatch.setattr(process, "ProcessClient", client)
    kinds: tuple[Compile, ...] = ("none", "inductor")
    for compile in kinds:
        draft = Checkpoint(path=str(pair.draft_path), dtype="float64", compile=compile)
        Process(timeout_s=5).begin(draft, Mock())
    assert given == [5, process.START_S]


def test_a_worker_is_warm_when_it_is_ready(pair: Pair, video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("encode", "prefill", "forward"):
        real = getattr(VideoLM, name)

        def noted(self: VideoLM, *args: Any, real: Any = real, name: str = name, **options: Any) -> Any:
            calls.append(name)
            return real(self, *args, **options)

        monkeypatch.setattr(VideoLM, name, noted)
    checkpoint = Checkpoint(path=str(pair.draft_path), dtype="float64")
    runner = load_runner(checkpoint, partial(DraftRunner, drafter=Chain(), gamma=3, max_new_tokens=8))
    assert calls == ["encode", "prefill", "forward"]
    assert runner.model is not None
    warm, cold = (model.prefill(model.encode(video, QUESTION))[1] for model in (runner.model, pair.draft))
    torch.testing.assert_close(warm, cold, rtol=1e-12, atol=1e-12)
