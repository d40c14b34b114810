"""How sure a draft is of each token: the draft's softmax, wherever it is made and however windows are joined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from tests.conftest import Pair
from tests.drafters.test_trees import CONTEXT, fresh, probs_after, tokens_to
from vsd.drafters import Chain, Drafter
from vsd.drafters.adaptive import Adaptive
from vsd.drafters.dynamic_tree import DynamicTree
from vsd.drafters.prompt_lookup import PromptLookup
from vsd.drafters.tree import Tree
from vsd.drafters.viskip import ViSkip
from vsd.engine import Engine
from vsd.executors import Executor, Inline, Process, Thread
from vsd.models import Checkpoint
from vsd.models.tree import chain
from vsd.parallelism import PARALLELVLM, PEARL, Parallelism, Sequential
from vsd.pruners.uniform import Uniform
from vsd.types import Draft, Evidence, Grid, Output, Verdict, VerifierContext, Video
from vsd.utils.random_source import RandomSource, SeededRandom
from vsd.verifiers.exact_prefix import ExactPrefix
from vsd.verifiers.greedy import Greedy

QUESTION = "What is it?"
TOKENS = 24
pytestmark = pytest.mark.usefixtures("quick_workers")
DRAFTERS: dict[str, Drafter] = {
    "chain": Chain(),
    "drawn chain": Chain(temperature=0.7, top_k=9),
    "chain that stops": Chain(confidence=0.01),
    "tree": Tree(),
    "drawn tree": Tree(temperature=0.7, paths="0 1 0,0 0,1 0,0,0"),
    "dynamic tree": DynamicTree(total=12, top_k=3),
    "within others": Adaptive(inner=ViSkip(inner=Chain())),
}
SEEN = list[tuple[list[int], Draft]]()
"""What the rule below was shown: the tokens before each draft, and the draft."""


@dataclass(frozen=True, kw_only=True)
class Watching(Greedy):
    """Greedy verification that notes what it is shown."""

    needs_confidence: ClassVar[bool] = True

    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        SEEN.append((list(context.tokens), draft))
        return super().verify(draft, output, context, random)


@pytest.fixture(autouse=True)
def _nothing_seen() -> Iterator[None]:
    SEEN.clear()
    yield
    SEEN.clear()


@pytest.mark.parametrize("name", DRAFTERS)
def test_it_is_the_softmax_of_the_drafts_logits(pair: Pair, video: Video, name: str) -> None:
    drafter, random = DRAFTERS[name], SeededRandom(0)
    asked = replace(CONTEXT, memory=drafter.memory(), with_confidence=True)
    draft = drafter.propose(asked, pair.draft, fresh(pair, video), 4, random)
    assert draft.confidence_N is not None
    expected = [
        probs_after(pair, video, [*CONTEXT.tokens, *tokens_to(draft, int(parent))])[token].exp()
        for token, parent in zip(draft.tokens_N, draft.parents_N, strict=True)
    ]
    torch.testing.assert_close(draft.confidence_N.double(), torch.stack(expected), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", DRAFTERS)
def test_it_is_made_only_if_it_is_asked_for(pair: Pair, video: Video, name: str) -> None:
    drafter = DRAFTERS[name]
    plain = replace(CONTEXT, memory=drafter.memory())
    drafts = [
        drafter.propose(context, pair.draft, fresh(pair, video), 4, SeededRandom(0))
        for context in (plain, replace(plain, with_confidence=True))
    ]
    assert drafts[0].confidence_N is None
    assert drafts[0].tokens_N.tolist() == drafts[1].tokens_N.tolist()


def softmax_of(pair: Pair, video: Video, tokens: list[int], draft: Draft) -> Tensor:
    """The draft's own probabilities of a chain behind these tokens, from one pass over its pruned prompt and them."""
    prompt = pair.draft.encode(video, QUESTION)
    evidence = Evidence(grid=prompt.grid)
    state, first_W = pair.draft.prefill(prompt.keep(Uniform(ratio=0.5).keep(evidence)))
    ids = [*tokens, *draft.tokens_N.tolist()]
    logits_MW = pair.draft.forward(torch.tensor(ids), chain(len(ids)), state).logits_MW
    probs_MW = torch.cat((first_W[None], logits_MW)).softmax(-1)
    return probs_MW[torch.arange(len(tokens), len(ids)), draft.tokens_N]


@pytest.mark.parametrize(
    ("schedule", "executor"),
    [
        (Sequential(), Inline()),
        (Sequential(), Thread()),
        (PEARL, Inline()),
        (PEARL, Process(threads=1)),
        (replace(PARALLELVLM, length="fixed"), Thread()),
    ],
    ids=["sequential", "sequential on a thread", "pearl", "pearl in a process", "early on a thread"],
)
def test_a_rule_sees_it_under_every_schedule(
    pair: Pair, video: Video, schedule: Parallelism, executor: Executor
) -> None:
    engine = Engine(
        target=pair.target,
        draft=Checkpoint(path=str(pair.draft_path), dtype="float64") if executor.remote else pair.draft,
        pruner=Uniform(ratio=0.5),
        verifier=Watching(),
        parallelism=schedule,
        executor=executor,
        gamma=4,
        max_new_tokens=TOKENS,
    )
    try:
        trace = engine.run(video, QUESTION)
    finally:
        engine.close()
    assert (
        trace.tokens
        == Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS).baseline().run(video, QUESTION).tokens
    )
    drafts = [(tokens, draft) for tokens, draft in SEEN if len(draft.tokens_N)]
    assert sum(len(draft.tokens_N) for _, draft in drafts) >= TOKENS // 2
    assert any(len(draft.tokens_N) > 1 for _, draft in drafts)
    for tokens, draft in drafts:
        assert draft.confidence_N is not None
        expected = softmax_of(pair, video, tokens, draft)
        torch.testing.assert_close(draft.confidence_N, expected, rtol=1e-6, atol=1e-12)


def test_behind_an_exact_prefix_it_is_that_of_the_own_part() -> None:
    draft = Draft(
        tokens_N=torch.tensor([1, 1, 2, 2]),
        parents_N=torch.tensor([-1, 0, 1, 2]),
        confidence_N=torch.tensor([0.1, 0.2, 0.3, 0.4]),
    )
    logits_MW = torch.nn.functional.one_hot(torch.tensor([1, 1, 2, 2, 3]), 5).double()
    context = VerifierContext(evidence=Evidence(grid=Grid(1, 1, 1)), left=9)
    rule = ExactPrefix(inner=Watching(), length=3)
    assert rule.needs_confidence
    rule.verify(draft, Output(logits_MW=logits_MW), replace(context, tokens=[0]), SeededRandom(0))
    (seen,) = [draft for _, draft in SEEN]
    assert seen.tokens_N.tolist() == [2, 2]
    assert seen.confidence_N is not None
    assert seen.confidence_N.tolist() == pytest.approx([0.3, 0.4])


def test_a_drafter_without_it_is_refused_for_such_a_rule(pair: Pair) -> None:
    for drafter in (PromptLookup(), Adaptive(inner=PromptLookup())):
        with pytest.raises(ValueError, match=r"^drafter: Watching needs drafts that say their confidence, got "):
            Engine(target=pair.target, draft=pair.draft, drafter=drafter, verifier=Watching())
    assert not ExactPrefix(inner=Greedy()).needs_confidence
