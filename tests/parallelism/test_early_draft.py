"""ParallelVLM's parallel prefill: a first window is drafted while the target prefills, and the tokens stay the same."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import Pair
from vsd.drafters import Chain
from vsd.drafters.adaptive import Adaptive
from vsd.drafters.prompt_lookup import PromptLookup
from vsd.drafters.viskip import ViSkip
from vsd.engine import Engine
from vsd.models.base import Early
from vsd.parallelism import Parallel
from vsd.parallelism.parallelvlm import ParallelVLM
from vsd.pruners.base import Pruner
from vsd.pruners.hippo import Hippo
from vsd.pruners.none import NoPruner
from vsd.pruners.random import Random
from vsd.pruners.specvlm import SpecVLM
from vsd.pruners.uv_prune import UVPrune
from vsd.relevance import Relevance
from vsd.types import Evidence, Trace, Video
from vsd.verifiers.lvspec import LVSpec
from vsd.verifiers.sampling import Sampling

QUESTION = "What moves, and what moves?"
TOKENS = 20
EARLY = [
    NoPruner(ratio=0.0),
    Random(ratio=0.5),
    UVPrune(ratio=0.5),
    UVPrune(ratio=0.9, layer="1"),
    UVPrune(ratio=0.5, layer="1.0"),
]
LATE = [SpecVLM(ratio=0.5), Hippo(ratio=0.5)]


@pytest.fixture(scope="module")
def expected(pair: Pair, video: Video) -> Trace:
    return Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS).baseline().run(video, QUESTION)


def run(pair: Pair, video: Video, schedule: Parallel | None = None, **options: Any) -> Trace:
    methods = {"draft": pair.draft, "gamma": 4, "max_new_tokens": TOKENS} | options
    engine = Engine(target=pair.target, parallelism=schedule or ParallelVLM(executor="inline"), **methods)
    trace = engine.run(video, QUESTION)
    engine.close()
    return trace


@pytest.mark.parametrize("executor", ["inline", "thread"])
@pytest.mark.parametrize("pruner", EARLY + LATE, ids=repr)
def test_the_tokens_are_the_targets_own(
    pair: Pair, video: Video, expected: Trace, executor: str, pruner: Pruner
) -> None:
    for gamma in (1, 3, 40):
        trace = run(pair, video, ParallelVLM(executor=executor), pruner=pruner, gamma=gamma)
        assert trace.tokens == expected.tokens
        assert trace.kept == len(pruner.keep(evidence(pair, video, pruner)))
        assert {"prune", "draft_encode", "draft_prefill"} <= trace.seconds.keys()
        names = ("proposed", "wasted", "accepted", "committed")
        proposed, wasted, accepted, committed = (sum(getattr(each, name) for each in trace.rounds) for name in names)
        assert proposed == wasted + accepted
        early = pruner in EARLY
        assert committed == TOKENS - (not early)
        first = trace.rounds[0]
        assert (first.verify_s == first.wall_s == 0) == early
        assert not early or first.ahead == first.proposed == min(gamma, TOKENS)


def evidence(pair: Pair, video: Video, pruner: Pruner) -> Evidence:
    return pair.target.prefill(pair.target.encode(video, QUESTION), want=pruner.needs)[2]


@dataclass(frozen=True, kw_only=True)
class Spied(UVPrune):
    """Notes what it kept."""

    kept: list[Tensor] = field(default_factory=list, compare=False)

    def keep(self, evidence: Evidence) -> Tensor:
        self.kept.append(super().keep(evidence))
        return self.kept[-1]


@pytest.mark.parametrize("layer", ["1", "0.5", "1.0"])
def test_what_is_kept_does_not_depend_on_when(pair: Pair, video: Video, layer: str) -> None:
    spied = Spied(ratio=0.7, layer=layer)
    for early in (False, True):
        run(pair, video, Parallel(executor="inline", early_draft=early), pruner=spied)
    assert spied.kept[0].tolist() == spied.kept[1].tolist()


@pytest.mark.parametrize("want", [frozenset[str](), frozenset({"attention", "hidden:1.0"})], ids=str)
def test_who_is_early_is_called_once_and_before_later_layers_run(
    pair: Pair, video: Video, want: frozenset[str]
) -> None:
    order, found = list[str](), list[Evidence]()
    layers = pair.target.text.layers
    hooks = [
        layer.register_forward_hook(lambda *_, number=number: order.append(str(number)))
        for number, layer in enumerate(layers, start=1)
    ]
    prompt = pair.target.encode(video, QUESTION)

    def call(evidence: Evidence) -> None:
        order.append("called")
        found.append(evidence)

    for needs, after in (({"hidden:0", "hidden:1"}, "1"), ({"features"}, ""), ({"hidden:1.0"}, str(len(layers)))):
        order.clear()
        _, _, late = pair.target.prefill(prompt, want=want | needs, early=Early(needs=frozenset(needs), call=call))
        place, depth = order.index("called"), len(layers)
        before, behind = order[:place], order[place + 1 :]
        assert order.count("called") == 1
        if after:  # in the last piece, behind that layer
            assert before[-int(after) :] == [str(number) for number in range(1, int(after) + 1)]
            assert len(behind) == depth - int(after)
        else:
            assert (before, len(behind) % depth) == ([], 0)
        for name, states in found[-1].hidden.items():
            assert torch.equal(states.visual_VD, late.hidden[name].visual_VD)
            assert torch.equal(states.text_SD, late.hidden[name].text_SD)
    for hook in hooks:
        hook.remove()


def test_nobody_is_called_for_attention(pair: Pair, video: Video) -> None:
    called = list[Evidence]()
    early = Early(needs=frozenset({"attention", "hidden:0"}), call=called.append)
    _, _, evidence = pair.target.prefill(pair.target.encode(video, QUESTION), early=early)
    assert not called
    assert evidence.attention_V is not None


@pytest.mark.parametrize("executor", ["inline", "thread"])
def test_a_model_that_drafts_for_itself(pair: Pair, video: Video, expected: Trace, executor: str) -> None:
    schedule = ParallelVLM(executor=executor, length="fixed")
    trace = run(pair, video, schedule, draft=pair.target, pruner=UVPrune(ratio=0.5))
    assert trace.tokens == expected.tokens
    whole = run(pair, video, schedule, draft=pair.target, pruner=NoPruner(ratio=0.0))
    assert [each.accepted for each in whole.rounds] == [1, 4, 4, 4, 4, 3]
    assert not any(each.wasted for each in whole.rounds)


@pytest.mark.parametrize("limit", range(1, 8))
def test_budgets_and_ends_are_exact(pair: Pair, video: Video, expected: Trace, limit: int) -> None:
    schedule = ParallelVLM(executor="inline")
    for draft in (pair.draft, pair.target):
        trace = run(pair, video, schedule, draft=draft, max_new_tokens=limit)
        assert (trace.tokens, trace.finish) == (expected.tokens[:limit], "length")
        target = copy.copy(pair.target)
        target.eos = frozenset({expected.tokens[limit - 1]})
        engine = Engine(target=target, draft=draft, parallelism=schedule, max_new_tokens=TOKENS)
        end = expected.tokens.index(expected.tokens[limit - 1]) + 1
        trace = engine.run(video, QUESTION)
        assert (trace.tokens, trace.finish) == (expected.tokens[:end], "eos")
        assert sum(each.proposed for each in trace.rounds) == sum(each.wasted + each.accepted for each in trace.rounds)


@pytest.mark.parametrize(
    "drafter", [Chain(confidence=0.5), Adaptive(inner=Chain()), ViSkip(inner=Chain()), PromptLookup()], ids=repr
)
def test_any_chain_drafter_may_begin_early(pair: Pair, video: Video, expected: Trace, drafter: Any) -> None:
    assert run(pair, video, drafter=drafter, pruner=UVPrune(ratio=0.5)).tokens == expected.tokens


@pytest.mark.parametrize("threshold", ["rank", "quantile", "absolute"])
def test_a_loose_rule_tests_the_first_token_too(pair: Pair, video: Video, expected: Trace, threshold: str) -> None:
    strict = run(pair, video, verifier=LVSpec(looseness=0.0), pruner=UVPrune(ratio=0.5))
    assert strict.tokens == expected.tokens
    assert all(len(each.relevance) == each.committed for each in strict.rounds)
    loose = run(pair, video, verifier=LVSpec(looseness=1.0, threshold=threshold, below=2.0), pruner=UVPrune(ratio=0.9))
    assert all(each.accepted == each.nodes for each in loose.rounds[:-1])
    assert len(loose.tokens) == TOKENS


def test_the_relevance_of_the_first_token_is_that_of_the_prompts_last_state(pair: Pair, video: Video) -> None:
    relevance = Relevance(layer="0.5", always=True)
    trace = run(pair, video, relevance=relevance)
    evidence = pair.target.prefill(pair.target.encode(video, QUESTION), want={relevance.need})[2]
    first = relevance.meter(evidence)(evidence.hidden["0.5"].text_SD[-1:])
    assert trace.rounds[0].relevance == pytest.approx(first.tolist())


def test_a_drawn_generation_does_not_depend_on_where_it_is_drafted(pair: Pair, video: Video) -> None:
    params = {"temperature": 0.8, "top_p": 0.9}
    found = [
        run(
            pair,
            video,
            ParallelVLM(executor=executor, length="fixed"),
            drafter=Chain(**params),  # type: ignore[arg-type]
            verifier=Sampling(**params),  # type: ignore[arg-type]
        ).tokens
        for executor in ("inline", "thread")
    ]
    assert found[0] == found[1]
