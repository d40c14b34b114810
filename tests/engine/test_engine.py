"""The engine: what it records, what it refuses, and that it asks for no more evidence than is needed."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from tests.conftest import FAMILIES, Pair
from tests.zoo_in_code import VOCAB
from vsd.drafters import Chain
from vsd.drafters.viskip import ViSkip
from vsd.engine import Engine
from vsd.executors import Executor, Inline, Process, Thread
from vsd.models import Checkpoint, VideoLM, load
from vsd.parallelism import Autoregressive, Parallel, Parallelism, Sequential
from vsd.pruners.uniform import Uniform
from vsd.types import Context, Draft, Evidence, MethodError, Positions, Prompt, SampleError, Video
from vsd.verifiers.lvspec import LVSpec

QUESTION = "What is it?"


@dataclass(frozen=True, kw_only=True)
class Nosy:
    """A pruner that keeps every second token and remembers what it was shown."""

    needs: frozenset[str]
    seen: list[Evidence]
    ratio: float = 0.5

    def keep(self, evidence: Evidence) -> Tensor:
        self.seen.append(evidence)
        return torch.arange(0, evidence.tokens, 2)


def test_trace_records_the_sample(pair: Pair, video: Video) -> None:
    pruner: Any = Nosy(needs=frozenset({"attention"}), seen=[])
    trace = Engine(target=pair.target, draft=pair.draft, pruner=pruner, max_new_tokens=20).run(video, QUESTION)
    grid = pair.target.encode(video, QUESTION).grid
    assert set(trace.seconds) == {
        "encode", "prefill", "prune", "draft_encode", "draft_prefill", "decode", "first_token", "total",
    }  # fmt: skip
    parts = sum(seconds for name, seconds in trace.seconds.items() if name not in ("first_token", "total"))
    assert 0 < trace.seconds["first_token"] < parts <= trace.seconds["total"]
    assert (trace.visual, trace.kept) == (grid.tokens, grid.tokens // 2)
    assert trace.target_forwards == len(trace.rounds)
    assert all(round.nodes == round.drafted <= 5 for round in trace.rounds)
    assert all(round.committed == round.accepted + 1 for round in trace.rounds[:-1])
    assert all(round.rejected == (round.accepted < round.drafted) for round in trace.rounds[:-1])


def test_text_is_the_decoded_generation(pair: Pair, video: Video) -> None:
    engine = Engine(target=pair.target, draft=pair.draft, max_new_tokens=5)
    trace = engine.run(video, QUESTION)
    assert engine.text(trace) == pair.target.processor.tokenizer.decode(trace.tokens, skip_special_tokens=True)


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_the_pieces_of_a_text_are_the_text(video: Video, cut: int) -> None:
    """Characters of several tokens count with the one that completes them, and a generation may end inside one."""
    engine = Engine(target=load("zoo:qwen2_5_vl/target"), parallelism=Autoregressive(), max_new_tokens=2)
    said = "In the 日本 é there is 🎬 a red \n\n circle 日"
    tokens = tuple(engine.target.processor.tokenizer(said)["input_ids"])
    trace = replace(engine.run(video, QUESTION), tokens=tokens[: len(tokens) - cut])
    pieces = engine.pieces(trace)
    assert len(pieces) == len(trace.tokens) > len(said.split())
    assert "".join(pieces) == engine.text(trace)
    assert {"日", "本", "🎬", " red"} <= set(pieces)


def test_only_needed_evidence_is_made_and_the_seed_goes_with_it(pair: Pair, video: Video) -> None:
    pruner: Any = Nosy(needs=frozenset({"hidden:1"}), seen=[])
    Engine(target=pair.target, draft=pair.draft, pruner=pruner, max_new_tokens=2).run(video, QUESTION, seed=7)
    evidence = pruner.seen[0]
    assert evidence.seed == 7
    assert set(evidence.values) == {"hidden:1"}


def test_a_drafter_is_shown_what_it_needs_and_nothing_else(pair: Pair, video: Video) -> None:
    shown = list[set[str]]()

    class Nosier(Chain):
        def propose(self, context: Context, *rest: Any) -> Draft:
            shown.append(set(context.evidence))
            return super().propose(context, *rest)

    for drafter, needs in ((Nosier(), set()), (ViSkip(inner=Nosier(), threshold=1.1), {"visual_mass"})):
        shown.clear()
        how: dict[str, Any] = {"drafter": drafter, "verifier": LVSpec(looseness=0.5), "max_new_tokens": 8}
        trace = Engine(target=pair.target, draft=pair.draft, **how).run(video, QUESTION)
        assert shown
        assert all(each == needs for each in shown)
        for round in trace.rounds:  # and all of it is recorded
            assert set(round.evidence) == {"relevance"} | needs
            assert all(len(values) == round.committed for values in round.evidence.values())


def test_a_drafter_that_needs_what_passes_do_not_have_is_refused(pair: Pair) -> None:
    class Wrong(Chain):
        needs = frozenset({"keys:1"})

    with pytest.raises(
        ValueError, match=r"^drafter: Wrong must need evidence that later passes have too, got 'keys:1'$"
    ):
        Engine(target=pair.target, draft=pair.draft, drafter=Wrong())


def test_baseline_has_no_draft_and_no_pruner(pair: Pair, video: Video) -> None:
    pruner: Any = Nosy(needs=frozenset({"attention"}), seen=[])
    baseline = Engine(target=pair.target, draft=pair.draft, pruner=pruner, max_new_tokens=6).baseline()
    trace = baseline.run(video, QUESTION)
    assert not pruner.seen
    assert [round.committed for round in trace.rounds] == [1] * 5
    assert trace.kept == trace.visual
    assert set(trace.seconds) == {"encode", "prefill", "decode", "first_token", "total"}


def test_padded_vocabularies_are_cut_to_the_smaller(pair: Pair, video: Video, tmp_path: Path) -> None:
    small = load(str(FAMILIES[pair.family](tmp_path / "small", vocab=VOCAB - 6)), dtype="float64")
    engine = Engine(target=pair.target, draft=small, max_new_tokens=20)
    assert isinstance(engine.draft, VideoLM)
    assert engine.target.vocab == engine.draft.vocab == VOCAB - 6
    assert engine.run(video, QUESTION).tokens == engine.baseline().run(video, QUESTION).tokens
    assert pair.target.vocab == VOCAB


def test_compact_positions_change_the_draft_only(pair: Pair, video: Video) -> None:
    runs, read = [], list[Prompt]()

    def noted(prompt: Prompt, **how: Any) -> Any:
        read.append(prompt)
        return pair.draft.prefill(prompt, **how)

    for positions in get_args(Positions):
        draft: Any = copy.copy(pair.draft)
        draft.prefill = noted
        pruner = Uniform(ratio=0.5)
        engine = Engine(target=pair.target, draft=draft, pruner=pruner, positions=positions, max_new_tokens=20)
        runs.append(engine.run(video, QUESTION))
    assert runs[0].tokens == runs[1].tokens
    original, compact = read
    assert original.length == compact.length
    assert (compact.positions_PT == torch.arange(compact.length)).all()
    assert compact.next_position == compact.length
    assert not torch.equal(original.positions_PT, compact.positions_PT)
    assert original.next_position != compact.next_position


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 0}, "gamma: must be a whole number, at least 1, got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens: must be a whole number, at least 1, got 0"),
        ({"positions": "new"}, "positions: must be one of original, compact, got 'new'"),
        ({"parallelism": Parallel(), "executor": Process()}, "draft: a process of its own loads its own model"),
        ({"draft": None}, "draft: Chain drafts with a model, got none"),
    ],
)
def test_bad_options_are_refused(pair: Pair, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Engine(**{"target": pair.target, "draft": pair.draft, **options})


def test_a_prompt_longer_than_the_context_is_refused(pair: Pair, video: Video) -> None:
    with pytest.raises(
        ValueError, match=r"max_new_tokens: the prompt \(\d+ tokens\) and the generation \(500\) must fit"
    ):
        Engine(target=pair.target, draft=pair.draft, max_new_tokens=500).run(video, QUESTION)


def test_target_and_draft_must_share_the_grid(pair: Pair, video: Video, tmp_path: Path) -> None:
    if pair.family == "llava_onevision":
        pytest.skip("its grid follows from the vision tower alone")
    other = load(str(pair.draft_path), dtype="float64")
    other.processor.video_processor.size = {"shortest_edge": 32 * 32, "longest_edge": 32 * 32}
    with pytest.raises(ValueError, match="draft: target and draft must see the video on the same grid"):
        Engine(target=pair.target, draft=other, max_new_tokens=4).run(video, QUESTION)


@pytest.mark.parametrize("executor", [Inline(), Thread()], ids=["inline", "thread"])
def test_what_the_draft_cannot_read_ends_one_sample(
    executor: Executor, pair: Pair, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    how: dict[str, Any] = {"parallelism": Parallel(overlap_prefill=True, early_draft=True), "executor": executor}
    engine = Engine(target=pair.target, draft=pair.draft, **how, max_new_tokens=4)
    with monkeypatch.context() as patch:
        patch.setattr(type(engine.draft), "features", _no_features_of(pair.target))
        with pytest.raises(SampleError, match=r"^vision tower: IndexError: a grid too large"):
            engine.run(video, QUESTION)
    assert engine.run(video, QUESTION).tokens == engine.baseline().run(video, QUESTION).tokens
    engine.close()


def _no_features_of(target: VideoLM) -> Any:
    whole = type(target).features

    def features(model: VideoLM, inputs: Any) -> Any:
        if model.model is target.model:
            return whole(model, inputs)
        raise IndexError("a grid too large\nfor this model")

    return features


def test_the_devices_of_a_run_are_counted(pair: Pair, video: Video) -> None:
    def held(schedule: Parallelism, executor: Executor) -> int:
        how: dict[str, Any] = {"parallelism": schedule, "executor": executor}
        engine = Engine(target=pair.target, draft=pair.draft, **how, max_new_tokens=2)
        trace = engine.run(video, QUESTION)
        engine.close()
        return trace.devices

    assert [held(each, Inline()) for each in (Sequential(), Parallel())] == [1, 1]
    assert [held(each, Thread()) for each in (Sequential(), Parallel())] == [1, 2]  # in turn they share it
    assert Checkpoint(path="x", device="cuda").device_names == {"cuda:0"}
    assert Checkpoint(path="x", device_map={"model": "cuda:1", "lm_head": 2}).device_names == {"cuda:1", "cuda:2"}
    assert Checkpoint(path="x", device_map="auto").device_names  # here: whatever there is


@pytest.mark.parametrize("kept", [[], [1, 0], [0, 0], [-1, 0], [0, 10_000], list(range(50)), [0.0]], ids=str)
def test_a_pruner_that_breaks_its_contract_ends_the_run(kept: list[float], pair: Pair, video: Video) -> None:
    class Broken(Uniform):
        def keep(self, evidence: Evidence) -> Tensor:
            return torch.tensor(kept)

    engine = Engine(target=pair.target, draft=pair.draft, pruner=Broken(ratio=0.5), max_new_tokens=4)
    with pytest.raises(MethodError, match=r"^pruner: Broken.keep must give 1 to \d+ places below \d+, int64"):
        engine.run(video, QUESTION)
