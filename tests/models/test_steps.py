"""Passes of fixed shape give what passes over the filled rows give, and what is compiled is compiled once."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import cycle
from typing import Any

import pytest
import torch

from tests import fake_graph
from tests.collected import collector_of
from tests.conftest import FAMILIES, ONE_FAMILY, Pair
from vsd.drafters import Chain
from vsd.drafters.tree import Tree
from vsd.drafters.viskip import ViSkip
from vsd.engine import Engine
from vsd.models import State, VideoLM, load, split_attention, steps
from vsd.models.base import Computing
from vsd.models.cache import bucket
from vsd.models.steps import SPARE_ROWS, Compile, width_of
from vsd.models.tree import chain
from vsd.pruners.uniform import Uniform
from vsd.types import Context, Draft, Output, Prompt, Video
from vsd.utils.random_source import RandomSource
from vsd.verifiers.lvspec import LVSpec
from vsd.verifiers.sampling import Sampling

TREE = (-1, 0, 0, 0, 1, 2, 5)
TOKENS = (11, 20, 30, 40, 50, 60, 70)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
NEEDS = {"hidden:0", "hidden:1", "hidden:1.0", "relevance:1.0:3", "visual_mass"}


@pytest.fixture(scope="module")
def prompt(pair: Pair, video: Video) -> Prompt:
    return pair.target.encode(video, "Where is it?")


class Side:
    """A model and its state, with a collector of everything that a pass can show."""

    def __init__(self, model: VideoLM, prompt: Prompt, capacity: int = 100) -> None:
        self.model, self.collector = model, collector_of(model, prompt, NEEDS, in_passes=NEEDS)
        prefill = model.start_prefill(prompt, collector=self.collector, capacity=capacity)
        self.state: State = prefill.state
        prefill.finish()

    def read(self, tokens: tuple[int, ...], parents: tuple[int, ...]) -> Output:
        return self.model.forward(torch.tensor(tokens), parents, self.state, collector=self.collector)


@pytest.fixture
def sides(pair: Pair, prompt: Prompt) -> tuple[Side, Side]:
    """As rows are filled, and in fixed shapes."""
    return Side(pair.target, prompt), Side(pair.target.computed_by(compile="eager"), prompt)


def assert_same(one: Output, other: Output) -> None:
    torch.testing.assert_close(one.logits_MW, other.logits_MW, rtol=1e-11, atol=1e-11)
    assert set(one.evidence) == set(other.evidence) == NEEDS
    for name in NEEDS:
        torch.testing.assert_close(one.evidence[name], other.evidence[name], rtol=1e-11, atol=1e-11)


def test_widths_are_few_and_wide_enough() -> None:
    widths = [width_of(count) for count in range(1, 300)]
    assert all(width >= count for count, width in enumerate(widths, 1))
    assert all(width - count < SPARE_ROWS for count, width in enumerate(widths, 1))
    assert len(set(widths)) < 25
    assert [width_of(count) for count in (1, 6, 26, 27)] == [1, 6, 26, 32]


@pytest.mark.parametrize("count", [1, 2, 6, 7])
def test_a_chain(sides: tuple[Side, Side], count: int) -> None:
    for _ in range(3):
        assert_same(*(side.read(TOKENS[:count], chain(count)) for side in sides))
        for side in sides:
            side.state.commit(range(1))


def test_a_tree(sides: tuple[Side, Side]) -> None:
    for path in ([0, 2, 5, 6], [0], []):
        assert_same(*(side.read(TOKENS, TREE) for side in sides))
        for side in sides:
            side.state.commit(path)


def test_a_tree_that_grows(sides: tuple[Side, Side]) -> None:
    for start, end in ((0, 1), (1, 4), (4, 6), (6, 7)):
        assert_same(*(side.read(TOKENS[start:end], TREE[start:end]) for side in sides))
    for side in sides:
        side.state.commit([0, 2, 5])
    assert_same(*(side.read((5,), (-1,)) for side in sides))


@ONE_FAMILY
def test_the_last_rows_of_a_buffer(pair: Pair, prompt: Prompt) -> None:
    """A pass is filled up behind the capacity, which is where the buffer could end."""
    capacity = bucket(prompt.length + 5)
    one, other = Side(pair.target, prompt, capacity), Side(pair.target.computed_by(compile="eager"), prompt, capacity)
    while one.state.length < capacity:
        count = min(7, capacity - one.state.length)
        assert_same(*(side.read(TOKENS[:count], chain(count)) for side in (one, other)))
        for side in (one, other):
            side.state.commit(range(count))


@ONE_FAMILY
def test_what_is_masked_may_be_anything(pair: Pair, prompt: Prompt) -> None:
    side = Side(pair.target.computed_by(compile="eager"), prompt)
    expected = side.read((7,), (-1,)).logits_MW
    side.state.commit(())
    with torch.inference_mode():
        for buffer in (*side.state.buffers.keys, *side.state.buffers.values):
            buffer[:, :, side.state.length + 1 :] = 1e4
    torch.testing.assert_close(side.read((7,), (-1,)).logits_MW, expected, rtol=1e-12, atol=1e-12)


# Compiled ------------------------------------------------------------------------------------------------------------


def traced(step: Any, device: torch.device) -> Any:
    """As `by_inductor`, but what was traced is run as it is: no C++ is made, which takes a minute."""
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    return torch.compile(step, fullgraph=True, dynamic=False, backend="aot_eager", options=options)


METHODS = {
    "chain": (Chain(), None),
    "tree": (Tree(), None),
    "drawn": (Chain(temperature=0.8), Sampling(temperature=0.8)),
    "relevance": (Chain(), LVSpec(looseness=0.5)),
    "attention": (ViSkip(inner=Chain()), None),
}
SPLIT = "tree"
"""Of this one the keys are split."""


@pytest.fixture(autouse=True)
def _short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_attention, "PIECE", 64)  # of buffers of 320 rows


def check(pair: Pair, video: Video, method: str) -> None:
    """Decoded by passes that are compiled, and as they come: the same tokens, rounds and evidence."""
    drafter, verifier = METHODS[method]
    traces = []
    kinds: tuple[Compile, ...] = ("none", "eager", "inductor")
    for compile in kinds:
        how: Computing = {"compile": compile, "attention": "split" if method == SPLIT else "fused"}
        target, draft = pair.target.computed_by(**how), pair.draft.computed_by(**how)
        methods: dict[str, Any] = {"drafter": drafter, "verifier": verifier, "pruner": Uniform(ratio=0.5), "gamma": 3}
        engine = Engine(target=target, draft=draft, max_new_tokens=14, **methods)
        traces += [engine.run(video, "Where?", seed=3), engine.baseline().run(video, "Where?", seed=3)]
    for mine, theirs in zip(traces[2:], [*traces[:2]] * 2, strict=True):
        assert mine.tokens == theirs.tokens
        assert [each.committed for each in mine.rounds] == [each.committed for each in theirs.rounds]
        for name in ("relevance", "visual_mass"):
            assert mine.by_token(name) == pytest.approx(theirs.by_token(name), abs=1e-6)  # norms are float32


@pytest.fixture(scope="module")
def fresh(pairs: Callable[[str], Pair]) -> Callable[[str], Pair]:
    """Pairs that nobody else has called: where transformers itself has shown a model's hidden states, hooks stay on its
    layers, which torch 2.11 cannot trace."""

    @cache
    def made(family: str) -> Pair:
        pair = pairs(family)
        target, draft = (load(str(path), dtype="float64") for path in (pair.target_path, pair.draft_path))
        target.eos = draft.eos = frozenset()
        return replace(pair, target=target, draft=draft)

    return made


@pytest.mark.parametrize(
    ("method", "family"),
    [
        ("tree", "llava_onevision"),
        ("attention", "qwen2_5_vl"),
        # Of chains without evidence, and with it, one is compiled below.
        *(pytest.param(name, family, marks=pytest.mark.slow) for name in METHODS for family in sorted(FAMILIES)),
    ],
)
def test_traced_passes(
    fresh: Callable[[str], Pair], video: Video, method: str, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `torch.compile` makes of a pass, run as it is."""
    monkeypatch.setattr(steps, "by_inductor", traced)
    check(fresh(family), video, method)


@pytest.mark.parametrize(("method", "family"), [*zip(METHODS, cycle(sorted(FAMILIES)[::-1]), strict=False)])
def test_captured_passes(
    pairs: Callable[[str], Pair], video: Video, method: str, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On graphs that are captured and replayed as CUDA's are: everything that changes must come in by their inputs."""
    made = fake_graph.install(monkeypatch)
    pair, (drafter, verifier) = pairs(family), METHODS[method]
    methods: dict[str, Any] = {"drafter": drafter, "verifier": verifier, "pruner": Uniform(ratio=0.5), "gamma": 3}
    questions = ("Where?", "Where is it, and where was it before?", "Where?")
    expected = [
        Engine(target=pair.target, draft=pair.draft, max_new_tokens=14, **methods).run(video, asked, seed=3)
        for asked in questions
    ]
    how: Computing = {"compile": "cudagraph", "attention": "split" if method == SPLIT else "fused"}
    target, draft = pair.target.computed_by(**how), pair.draft.computed_by(**how)
    engine = Engine(target=target, draft=draft, max_new_tokens=14, **methods)
    traces = [engine.run(video, asked, seed=3) for asked in questions]
    assert [trace.tokens for trace in traces] == [trace.tokens for trace in expected]
    for mine, theirs in zip(traces, expected, strict=True):
        for name in ("relevance", "visual_mass"):
            assert mine.by_token(name) == pytest.approx(theirs.by_token(name), abs=1e-6)
    count = len(made)
    engine.run(video, questions[0], seed=3)
    assert len(made) == count  # buffers come back, with what was captured over them
    assert sum(graph.replays for graph in made) > 3 * count


@needs_compiler
def test_compiled_passes(fresh: Callable[[str], Pair], video: Video) -> None:
    check(fresh("qwen2_5_vl"), video, "relevance")


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("method", METHODS)
def test_all_compiled_passes(fresh: Callable[[str], Pair], video: Video, method: str, family: str) -> None:
    check(fresh(family), video, method)


@dataclass(frozen=True, kw_only=True)
class Learner(Chain):
    """Writes down what it is told of."""

    told: list[list[int]] = field(default_factory=list)

    def memory(self) -> list[int]:
        return []

    def learn(self, rounds: Any, memory: list[int]) -> None:
        memory += [each.accepted for each in rounds]

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        self.told.append([*context.memory])
        return super().propose(context, model, state, gamma, random)


def test_a_sample_is_decoded_again_where_something_was_compiled(
    fresh: Callable[[str], Pair], video: Video, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its seconds hold no compilation, and a drafter that learns has seen it once."""
    monkeypatch.setattr(steps, "by_inductor", traced)
    pair, drafter = fresh("qwen2_5_vl"), Learner()
    target, draft = pair.target.computed_by(compile="inductor"), pair.draft
    engine = Engine(target=target, draft=draft, drafter=drafter, max_new_tokens=8, gamma=2)
    with caplog.at_level(logging.INFO, logger="vsd.models.steps"):
        first = engine.run(video, "Where?")
    assert target.steps is not None
    count, messages = target.steps.compiled, [record.message for record in caplog.records]
    assert count == len(messages) > 0
    assert all("compiled a pass of" in message for message in messages)
    assert drafter.told[0] == []
    again = [told for told in drafter.told if not told]
    assert len(again) == 2
    before = len(drafter.told)
    second = engine.run(video, "Where?")
    assert target.steps.compiled == count
    assert second.tokens == first.tokens
    assert drafter.told[before] == [round.accepted for round in first.rounds]
