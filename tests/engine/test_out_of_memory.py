"""A sample that ends in an out-of-memory error leaves nothing behind, wherever it was, and the next one runs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from tests.conftest import ONE_FAMILY, Pair
from vsd.data.datamodule import Item
from vsd.engine import Engine
from vsd.executors import Executor, Inline, Thread
from vsd.executors.inline import InlineClient
from vsd.executors.thread import ThreadClient
from vsd.models import State, VideoLM
from vsd.parallelism import PARALLELVLM, Parallel, Parallelism
from vsd.pruners.uniform import Uniform
from vsd.run.task import DecodeTask
from vsd.types import Prompt, Sample, Video

SCHEDULES: dict[str, tuple[Parallelism, Executor]] = {
    "inline": (Parallel(), Inline()),
    "thread": (Parallel(), Thread()),
    "early": (PARALLELVLM, Thread()),
}
STAGES = (
    *(("target", method) for method in ("encode", "start_prefill", "logits", "forward")),
    *(("draft", method) for method in ("encode", "prefill", "forward")),
)  # fmt: skip


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Any]]:
    """What a sample makes that is large: its prompts and its caches."""
    found: list[weakref.ref[Any]] = []

    def watch(method: str) -> None:
        plain: Callable[..., Any] = getattr(VideoLM, method)

        def made(*args: Any, **options: Any) -> Any:
            result = plain(*args, **options)
            found.append(weakref.ref(result))
            return result

        monkeypatch.setattr(VideoLM, method, made)

    watch("encode")
    watch("_state")
    return found


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is freed is freed by the one who says so."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def full(model: VideoLM, method: str, held: list[weakref.ref[Any]], patch: pytest.MonkeyPatch) -> None:
    """Have this step of the model run out of memory, with a tensor in its hands, once it has done its work."""
    plain = getattr(model, method)

    def step(*args: Any, **options: Any) -> None:
        large = torch.zeros(1000)
        held.append(weakref.ref(large))
        made = plain(*args, **options)
        raise torch.OutOfMemoryError(f"no room for {len(large)} numbers beside {type(made)}")

    patch.setattr(model, method, step)


@ONE_FAMILY
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize(("side", "method"), STAGES, ids=[" ".join(stage) for stage in STAGES])
def test_nothing_is_left_and_the_next_sample_runs(
    side: str,
    method: str,
    schedule: tuple[Parallelism, Executor],
    pair: Pair,
    video: Video,
    watched: list[weakref.ref[Any]],
) -> None:
    how: dict[str, Any] = dict(zip(("parallelism", "executor"), schedule, strict=True))
    engine = Engine(target=pair.target, draft=pair.draft, pruner=Uniform(ratio=0.5), **how, max_new_tokens=12)
    task = DecodeTask(engine)
    item = Item(sample=Sample(id="a", video="a.mp4", question="Where is it?"), video=video)
    expected = task.test_step(item, 0)["record"].trace.tokens
    assert isinstance(engine.client, InlineClient | ThreadClient)
    model = engine.target if side == "target" else engine.client._runner.model
    assert model is not None
    held: list[weakref.ref[Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        full(model, method, held, patch)
        record = task.test_step(item, 1)["record"]
    assert record.failure.startswith("no room for 1000 numbers")
    assert held
    alive = [each() for each in (*held, *watched) if each() is not None]
    assert [type(each) for each in alive] == []
    assert task.test_step(item, 2)["record"].trace.tokens == expected
    engine.close()


@ONE_FAMILY
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_a_finished_sample_leaves_nothing_either(
    schedule: tuple[Parallelism, Executor], pair: Pair, video: Video, watched: list[weakref.ref[Any]]
) -> None:
    how: dict[str, Any] = dict(zip(("parallelism", "executor"), schedule, strict=True))
    engine = Engine(target=pair.target, draft=pair.draft, **how, max_new_tokens=12)
    engine.run(video, "Where is it?")
    kinds = {type(each()) for each in watched if each() is not None}
    assert not kinds & {Prompt, State}
    assert len(watched) == 4
    engine.close()
