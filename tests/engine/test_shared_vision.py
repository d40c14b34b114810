"""A draft with the target's vision tower takes the target's features: the same generation by the same drafts."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Pair
from tests.kin import one_step, save_kin
from vsd.engine import Engine
from vsd.executors import Executor, Inline, Process, Thread
from vsd.models import Checkpoint, VideoLM, load
from vsd.parallelism import PARALLELVLM, Parallel, Parallelism, Sequential
from vsd.pruners.specvlm import SpecVLM
from vsd.types import Prompt, Trace, Video
from vsd.utils.messages import packed, unpacked

QUESTION = "What is seen?"
TOKENS = 16
pytestmark = pytest.mark.usefixtures("quick_workers")
SCHEDULES: dict[str, tuple[Parallelism, Executor]] = {
    "sequential": (Sequential(), Inline()),
    "early": (replace(PARALLELVLM, length="fixed"), Inline()),
    "thread": (Parallel(overlap_prefill=True), Thread()),
    "process": (Parallel(), Process(threads=1)),
}


@pytest.fixture(scope="module")
def folder(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_kin(pair.target_path, pair.draft_path, tmp_path_factory.mktemp(pair.family) / "kin")


@pytest.fixture(scope="module")
def kin(folder: Path) -> VideoLM:
    return load(str(folder), dtype="float64", field="draft")


def generation(pair: Pair, draft: VideoLM | Checkpoint, video: Video, **options: Any) -> Trace:
    engine = Engine(
        target=pair.target, draft=draft, pruner=SpecVLM(ratio=0.5), gamma=3, max_new_tokens=TOKENS, **options
    )
    try:
        return engine.run(video, QUESTION)
    finally:
        engine.close()


def drafts(trace: Trace) -> list[tuple[int, int, int, int]]:
    return [(each.proposed, each.drafted, each.accepted, each.wasted) for each in trace.rounds]


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_same_generation_by_the_same_drafts(
    pair: Pair, folder: Path, kin: VideoLM, video: Video, name: str
) -> None:
    draft = Checkpoint(path=str(folder), dtype="float64") if name == "process" else kin
    schedule, executor = SCHEDULES[name]
    shared = generation(pair, draft, video, parallelism=schedule, executor=executor)
    apart = generation(pair, kin, video, parallelism=schedule, executor=Inline(), share_vision=False)
    assert (shared.shared, apart.shared) == ("features", "nothing")
    assert shared.tokens == apart.tokens == generation(pair, pair.draft, video).tokens
    assert drafts(shared) == drafts(apart)
    assert any(accepted for _, _, accepted, _ in drafts(shared))


def test_the_drafts_tower_does_not_run(pair: Pair, folder: Path, video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = load(str(folder), dtype="float64", field="draft")
    engine = Engine(target=pair.target, draft=draft, max_new_tokens=TOKENS)
    expected = engine.run(video, QUESTION)

    def never(*_: Any) -> None:
        raise AssertionError("its vision tower or its processor ran")

    monkeypatch.setattr(draft, "features", never)
    monkeypatch.setattr(draft, "_inputs", never)
    assert engine.run(video, QUESTION).tokens == expected.tokens


def test_a_model_that_drafts_for_itself(pair: Pair, video: Video) -> None:
    shared = generation(pair, pair.target, video)
    apart = generation(pair, pair.target, video, share_vision=False)
    assert (shared.shared, apart.shared) == ("features", "nothing")
    assert shared.tokens == apart.tokens
    assert drafts(shared) == drafts(apart)


def test_a_tower_that_differs_in_one_bit_is_not_shared(pair: Pair, video: Video, tmp_path: Path) -> None:
    other = save_kin(pair.target_path, pair.draft_path, tmp_path / "kin", one_step)
    trace = generation(pair, load(str(other), dtype="float64", field="draft"), video)
    assert trace.shared == "pixels"


def test_nobody_reads_the_video_beside_the_target(pair: Pair, video: Video) -> None:
    alone = Engine(target=pair.target, draft=pair.draft, max_new_tokens=4).baseline().run(video, QUESTION)
    assert alone.shared is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_prompt_crosses_to_another_process(pair: Pair, video: Video, dtype: torch.dtype) -> None:
    prompt = pair.target.encode(video, QUESTION)
    values = {**vars(prompt), "embeds_TD": prompt.embeds_TD.to(dtype)}
    arrived = unpacked(pickle.loads(pickle.dumps(packed(Prompt(**values)))))
    assert arrived.embeds_TD.dtype is dtype
    assert all(
        torch.equal(getattr(arrived, name), each) if isinstance(each, torch.Tensor) else getattr(arrived, name) == each
        for name, each in values.items()
    )


@pytest.mark.parametrize("name", ["sequential", "early", "thread"])
def test_pixels_are_made_once_where_only_the_towers_differ(
    pair: Pair, video: Video, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule, executor = SCHEDULES[name]
    made: list[VideoLM] = []
    for model in (pair.target, pair.draft):

        def counted(*args: Any, model: VideoLM = model, process: Any = model._inputs) -> Any:
            made.append(model)
            return process(*args)

        monkeypatch.setattr(model, "_inputs", counted)
    shared = generation(pair, pair.draft, video, parallelism=schedule, executor=executor)
    assert (shared.shared, len(made)) == ("pixels", 1)
    apart = generation(pair, pair.draft, video, parallelism=schedule, executor=executor, share_vision=False)
    assert (apart.shared, len(made)) == ("nothing", 3)
    assert shared.tokens == apart.tokens
    if name != "thread":  # whose drafts are as long as there is time
        assert drafts(shared) == drafts(apart)


@pytest.mark.parametrize("name", ["sequential", "thread"])
def test_pixels_are_let_go_once_the_draft_has_seen_them(
    pair: Pair, video: Video, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule, executor = SCHEDULES[name]
    process, forward = pair.target._inputs, pair.target.forward
    made: list[weakref.ref[Any]] = []
    held = []

    def watched(*args: Any) -> Any:
        inputs = process(*args)
        made.append(weakref.ref(inputs))
        return inputs

    def verify(*args: Any, **options: Any) -> Any:
        gc.collect()
        held.append(made[0]() is not None)
        return forward(*args, **options)

    monkeypatch.setattr(pair.target, "_inputs", watched)
    monkeypatch.setattr(pair.target, "forward", verify)
    assert generation(pair, pair.draft, video, parallelism=schedule, executor=executor).shared == "pixels"
    assert held
    assert not any(held)


@pytest.mark.parametrize("part", ["video_processor", "chat_template", "tokenizer"])
def test_pixels_of_another_processor_are_not_taken(pair: Pair, part: str) -> None:
    draft = copy.copy(pair.draft)
    draft.__dict__.pop("pixels_key", None)
    assert draft.pixels_key == pair.target.pixels_key
    draft.__dict__.pop("pixels_key")
    draft.processor = copy.deepcopy(draft.processor)
    if part == "video_processor":
        draft.processor.video_processor.image_mean = [0.5, 0.5, 0.5]
    elif part == "chat_template":
        draft.processor.chat_template += " "
    else:
        draft.processor.tokenizer.add_tokens(["unheard"])
    assert draft.pixels_key != pair.target.pixels_key


def test_pixels_of_another_bound_are_not_taken(pair: Pair, folder: Path, kin: VideoLM) -> None:
    if pair.family != "qwen2_5_vl":
        pytest.skip("its frames have one size")
    bound = load(str(folder), dtype="float64", field="draft", max_pixels=40_000)
    assert bound.pixels_key != kin.pixels_key == pair.target.pixels_key


def test_a_call_of_the_tokenizer_does_not_change_what_it_makes(pair: Pair) -> None:
    draft = copy.copy(pair.draft)
    draft.__dict__.pop("pixels_key", None)
    draft.processor = copy.deepcopy(draft.processor)
    draft.processor.tokenizer(["a", "longer one"], padding=True)
    assert draft.pixels_key == pair.target.pixels_key
