"""A difference is explained by a near-tie of two logits, and by nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from tests.conftest import Pair
from vsd.data.datamodule import Item
from vsd.drafters import Chain, Drafter
from vsd.drafters.tree import Tree
from vsd.engine import Engine
from vsd.metrics.audit import STEPS, audit, first_difference
from vsd.models import State, load
from vsd.run.task import DecodeTask
from vsd.types import Draft, Dtype, Output, Sample, Verdict, VerifierContext, Video
from vsd.utils.random_source import RandomSource
from vsd.verifiers.greedy import Greedy

QUESTION = "Where is it?"


@dataclass(frozen=True, kw_only=True)
class Careless(Greedy):
    """Says that it is lossless, and takes every draft."""

    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        path = tuple(range(len(draft.tokens_N)))
        return Verdict(path=path, bonus=int(output.logits_MW[-1].argmax()), relaxed=(False,) * len(path))


def test_the_logits_are_those_of_the_place(pair: Pair, video: Video) -> None:
    ours = Engine(target=pair.target, draft=pair.draft, max_new_tokens=9).baseline().run(video, QUESTION).tokens
    prompt = pair.target.encode(video, QUESTION)
    for place in (0, 1, 8):
        state, logits_W = pair.target.prefill(prompt)
        for token in ours[:place]:
            logits_W = pair.target.forward(torch.tensor([token]), (-1,), state).logits_MW[0]
            state.commit((0,))
        second = int(logits_W.topk(2).indices[1])
        found = audit(pair.target, video, QUESTION, (*ours[:place], second, 5, 6), ours)
        assert (found.place, found.ours, found.baseline) == (place, second, ours[place])
        assert found.gap == pytest.approx(float(logits_W.max() - logits_W[second]), rel=1e-9)
        assert found.step == pytest.approx(2.0**-52 * float(logits_W.max()), rel=1e-6)
        assert not found.explained


def test_two_tokens_far_below_the_largest_logit_are_no_near_tie(pair: Pair, video: Video) -> None:
    target = load(str(pair.target_path), dtype="bfloat16")
    _, logits_W = target.prefill(target.encode(video, QUESTION))
    low = logits_W.float().sort().indices[:2].tolist()
    assert not audit(target, video, QUESTION, low[:1], low[1:]).explained
    best = int(logits_W.argmax())
    found = replace(audit(target, video, QUESTION, [best], low[:1]), gap=4 * 2.0**-7 * float(logits_W.max()))
    assert found.explained
    assert not replace(found, gap=float(found.gap or 0) * 1.01).explained


def test_float64_allows_nothing() -> None:
    assert STEPS[torch.float64] == 0
    assert 0 < STEPS[torch.bfloat16] <= STEPS[torch.float16] <= STEPS[torch.float32]


def test_generations_of_different_length_and_equal_ones() -> None:
    found = first_difference((1, 2), (1, 2, 3))
    assert (found.place, found.ours, found.baseline, found.explained) == (2, None, 3, False)
    with pytest.raises(ValueError, match="must differ"):
        first_difference((1, 2), (1, 2))


def record_of(pair: Pair, video: Video, dtype: Dtype, **options: Any) -> Any:
    target, draft = load(str(pair.target_path), dtype=dtype), load(str(pair.draft_path), dtype=dtype)
    target.eos = draft.eos = frozenset()
    engine = Engine(target=target, draft=draft, max_new_tokens=24, **options)
    task = DecodeTask(engine, baseline=engine.baseline())
    return task.test_step(Item(sample=Sample(id="a", video="a.mp4", question=QUESTION), video=video), 0)["record"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_a_broken_rule_is_not_explained(dtype: Dtype, pair: Pair, video: Video) -> None:
    record = record_of(pair, video, dtype, verifier=Careless())
    assert record.mismatched
    assert not record.audit.explained


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_broken_positions_are_not_explained(
    dtype: Dtype, pair: Pair, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = State.positions
    monkeypatch.setattr(State, "positions", lambda self, nodes: plain(self, nodes) + 9 * (len(nodes.tree) > 1))
    record = record_of(pair, video, dtype)
    assert record.mismatched
    assert not record.audit.explained


def test_nothing_is_looked_at_where_nothing_differs(pair: Pair, video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "audit", None)
    record = record_of(pair, video, "float64")
    assert not record.mismatched
    assert record.audit is None


@pytest.mark.parametrize("drafter", [Chain(), Tree()], ids=["chain", "tree"])
def test_half_precision_parts_at_near_ties_only(drafter: Drafter, pair: Pair, video: Video) -> None:
    target, draft = (load(str(path), dtype="bfloat16") for path in (pair.target_path, pair.draft_path))
    target.eos = draft.eos = frozenset()
    engine = Engine(target=target, draft=draft, drafter=drafter, max_new_tokens=48)
    alone = engine.baseline()
    for question in ("a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg", "hhhhhhhh"):
        generations = engine.run(video, question).tokens, alone.run(video, question).tokens
        if generations[0] != generations[1]:  # with random weights about one generation in four
            found = engine.audit(video, question, *generations)
            assert found.explained, found
