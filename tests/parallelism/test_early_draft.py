"""ParallelVLM's parallel prefill: a first window is drafted while the target prefills, and the tokens stay the same."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from tests.conftest import Pair
from tests.pairwise import pairwise
from vsd.drafters import Chain
from vsd.drafters.adaptive import Adaptive
from vsd.drafters.prompt_lookup import PromptLookup
from vsd.drafters.viskip import ViSkip
from vsd.engine import Engine
from vsd.evidence import Collector, Reading, layer_number
from vsd.evidence.relevance import Relevance, unit, visual_relevance
from vsd.executors import Executor, Inline, Thread
from vsd.models import VideoLM
from vsd.parallelism import PARALLELVLM, Parallel
from vsd.pruners.base import Pruner, ScorePruner
from vsd.pruners.hippo import Hippo
from vsd.pruners.none import NoPruner
from vsd.pruners.random import Random
from vsd.pruners.specvlm import SpecVLM
from vsd.pruners.uv_prune import UVPrune
from vsd.types import Evidence, Prompt, Trace, Video
from vsd.verifiers.lvspec import LVSpec, Threshold
from vsd.verifiers.sampling import Sampling

QUESTION = "What moves, and what moves?"
TOKENS = 20


@dataclass(frozen=True, kw_only=True)
class EarlyAttention(ScorePruner):
    """Looks at what the text attends to in the first layer."""

    needs: ClassVar[frozenset[str]] = frozenset({"attention:1"})

    def score(self, evidence: Evidence) -> Tensor:
        attention_V: Tensor = evidence["attention:1"]
        return attention_V


EXECUTORS: dict[str, Executor] = {"inline": Inline(), "thread": Thread()}
EARLY = [
    NoPruner(ratio=0.0),
    Random(ratio=0.5),
    UVPrune(ratio=0.5),
    UVPrune(ratio=0.9, layer="1"),
    EarlyAttention(ratio=0.5),
]
LATE: list[Pruner] = [SpecVLM(ratio=0.5), Hippo(ratio=0.5), UVPrune(ratio=0.5, layer="1.0")]


@pytest.fixture(scope="module")
def expected(pair: Pair, video: Video) -> Trace:
    return Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS).baseline().run(video, QUESTION)


def run(pair: Pair, video: Video, schedule: Parallel = PARALLELVLM, executor: str = "inline", **options: Any) -> Trace:
    methods: dict[str, Any] = {"draft": pair.draft, "gamma": 4, "max_new_tokens": TOKENS} | options
    engine = Engine(target=pair.target, parallelism=schedule, executor=EXECUTORS[executor], **methods)
    trace = engine.run(video, QUESTION)
    engine.close()
    return trace


@pytest.mark.parametrize(
    ("pruner", "gamma", "executor"), pairwise(EARLY + LATE, [1, 3, 40], ["inline", "thread"]), ids=repr
)
def test_the_tokens_are_the_targets_own(
    pair: Pair, video: Video, expected: Trace, executor: str, pruner: Pruner, gamma: int
) -> None:
    trace = run(pair, video, executor=executor, pruner=pruner, gamma=gamma)
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
    prompt = pair.target.encode(video, QUESTION)
    collector = a_collector(prompt, pair.target, pruner.needs)
    pair.target.start_prefill(prompt, collector=collector).finish()
    return collector.evidence()


def a_collector(prompt: Prompt, target: VideoLM, needs: Iterable[str]) -> Collector:
    return Collector({need: need for need in needs}, Reading(prompt=prompt, depth=target.depth))


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
        run(pair, video, Parallel(early_draft=early), pruner=spied)
    assert spied.kept[0].tolist() == spied.kept[1].tolist()


@pytest.mark.parametrize("stop", ["0", "1", "0.5", "1.0"])
def test_a_prefill_that_stops_on_its_way_reads_each_layer_once(pair: Pair, video: Video, stop: str) -> None:
    order, layers, depth = list[int](), pair.target.text.layers, pair.target.depth
    hooks = [
        layer.register_forward_hook(lambda *_, number=number: order.append(number))
        for number, layer in enumerate(layers, start=1)
    ]
    prompt = pair.target.encode(video, QUESTION)
    needs = {f"hidden:{stop}", "hidden:0", "hidden:1.0", "visual_mass", "features"}
    whole, stopped = (a_collector(prompt, pair.target, needs) for _ in range(2))
    expected_W = pair.target.start_prefill(prompt, collector=whole).finish()
    order.clear()

    prefill = pair.target.start_prefill(prompt, collector=stopped)
    assert stopped.stage({f"hidden:{stop}", "features"}) == layer_number(stop, depth)
    early, at_the_end = None, layer_number(stop, depth) == depth
    assert prefill.until(layer_number(stop, depth)) != at_the_end
    if not at_the_end:
        assert order == list(range(1, layer_number(stop, depth) + 1))
        early = stopped.evidence({f"hidden:{stop}"})[f"hidden:{stop}"]
    logits_W = prefill.finish()
    assert order == list(range(1, depth + 1))
    for hook in hooks:
        hook.remove()

    torch.testing.assert_close(logits_W, expected_W, rtol=0, atol=0)
    ours, theirs = stopped.evidence(), whole.evidence()
    assert early is None or torch.equal(early.visual_VD, theirs[f"hidden:{stop}"].visual_VD)
    for name in needs - {"visual_mass", "features"}:
        assert torch.equal(ours[name].visual_VD, theirs[name].visual_VD)
        assert torch.equal(ours[name].text_SD, theirs[name].text_SD)
    assert ours["visual_mass"] == theirs["visual_mass"]
    state = pair.target.forward(torch.tensor([3]), [-1], prefill.state).logits_MW
    again = pair.target.start_prefill(prompt)
    again.finish()
    torch.testing.assert_close(pair.target.forward(torch.tensor([3]), [-1], again.state).logits_MW, state)


def test_who_wants_attention_waits_for_the_end(pair: Pair, video: Video) -> None:
    prompt = pair.target.encode(video, QUESTION)
    collector = a_collector(prompt, pair.target, {"attention", "hidden:0"})
    prefill = pair.target.start_prefill(prompt, collector=collector)
    assert prefill.until(collector.stage({"hidden:0"}))  # what comes with the encoding waits for nothing
    assert not prefill.until(collector.stage({"attention", "hidden:0"}))
    prefill.finish()
    assert len(collector.evidence()["attention"]) == prompt.grid.tokens


@pytest.mark.parametrize("executor", ["inline", "thread"])
def test_a_model_that_drafts_for_itself(pair: Pair, video: Video, expected: Trace, executor: str) -> None:
    schedule = replace(PARALLELVLM, length="fixed")
    trace = run(pair, video, schedule, executor, draft=pair.target, pruner=UVPrune(ratio=0.5))
    assert trace.tokens == expected.tokens
    whole = run(pair, video, schedule, executor, draft=pair.target, pruner=NoPruner(ratio=0.0))
    assert [each.accepted for each in whole.rounds] == [1, 4, 4, 4, 4, 3]
    assert not any(each.wasted for each in whole.rounds)


@pytest.mark.parametrize("limit", range(1, 8))
def test_budgets_and_ends_are_exact(pair: Pair, video: Video, expected: Trace, limit: int) -> None:
    for draft in (pair.draft, pair.target):
        trace = run(pair, video, draft=draft, max_new_tokens=limit)
        assert (trace.tokens, trace.finish) == (expected.tokens[:limit], "length")
        target = copy.copy(pair.target)
        target.eos = frozenset({expected.tokens[limit - 1]})
        engine = Engine(target=target, draft=draft, parallelism=PARALLELVLM, executor=Inline(), max_new_tokens=TOKENS)
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
def test_a_loose_rule_tests_the_first_token_too(
    pair: Pair, video: Video, expected: Trace, threshold: Threshold
) -> None:
    strict = run(pair, video, verifier=LVSpec(looseness=0.0), pruner=UVPrune(ratio=0.5))
    assert strict.tokens == expected.tokens
    assert all(len(each.evidence["relevance"]) == each.committed for each in strict.rounds)
    loose = run(pair, video, verifier=LVSpec(looseness=1.0, threshold=threshold, below=2.0), pruner=UVPrune(ratio=0.9))
    assert all(each.accepted == each.nodes for each in loose.rounds[:-1])
    assert len(loose.tokens) == TOKENS


def test_the_relevance_of_the_first_token_is_that_of_the_prompts_last_state(pair: Pair, video: Video) -> None:
    relevance = Relevance(layer="0.5", always=True)
    trace = run(pair, video, relevance=relevance)
    prompt = pair.target.encode(video, QUESTION)
    collector = a_collector(prompt, pair.target, {"hidden:0.5"})
    pair.target.start_prefill(prompt, collector=collector).finish()
    states = collector.evidence()["hidden:0.5"]
    first = visual_relevance(states.text_SD[-1:], unit(states.visual_VD), relevance.top_n)
    assert trace.rounds[0].evidence["relevance"] == pytest.approx(first.tolist())


def test_a_drawn_generation_does_not_depend_on_where_it_is_drafted(pair: Pair, video: Video) -> None:
    params: dict[str, Any] = {"temperature": 0.8, "top_p": 0.9}
    found = [
        run(
            pair,
            video,
            replace(PARALLELVLM, length="fixed"),
            executor,
            drafter=Chain(**params),
            verifier=Sampling(**params),
        ).tokens
        for executor in ("inline", "thread")
    ]
    assert found[0] == found[1]
