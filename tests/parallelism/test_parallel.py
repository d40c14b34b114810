"""Draft and target at once give the tokens of the target alone: any executor, any of the schedule's choices."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch

from tests.conftest import Pair
from tests.pairwise import pairwise
from vsd.drafters import Chain, Drafter
from vsd.drafters.adaptive import Adaptive
from vsd.drafters.dynamic_tree import DynamicTree
from vsd.drafters.tree import Tree
from vsd.engine import Engine
from vsd.evidence.relevance import Relevance
from vsd.executors import Executor, Inline, Thread
from vsd.models import VideoLM
from vsd.parallelism import Parallel
from vsd.pruners.uniform import Uniform
from vsd.types import Draft, Round, Trace, Video
from vsd.verifiers.sampling import Sampling

QUESTION = "What moves, and what moves?"
TOKENS = 24
EXECUTORS: dict[str, Executor] = {"inline": Inline(), "thread": Thread()}
CHOICES = [(True, True), (True, False), (False, True), (False, False)]


@pytest.fixture(scope="module")
def expected(pair: Pair, video: Video) -> Trace:
    return Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS).baseline().run(video, QUESTION)


def engine(pair: Pair, *, executor: str = "inline", gamma: int = 4, limit: int = TOKENS, **fields: Any) -> Engine:
    return Engine(
        target=pair.target,
        draft=pair.draft,
        pruner=Uniform(ratio=0.5),
        parallelism=Parallel(**fields),
        executor=EXECUTORS[executor],
        gamma=gamma,
        max_new_tokens=limit,
    )


@pytest.mark.parametrize(("choice", "gamma", "executor"), pairwise(CHOICES, [1, 2, 3, 7, 40], list(EXECUTORS)))
def test_the_tokens_are_the_targets_own(
    pair: Pair, video: Video, expected: Trace, executor: str, choice: tuple[bool, bool], gamma: int
) -> None:
    pre, post = choice
    run = engine(pair, gamma=gamma, executor=executor, pre_verify=pre, post_verify=post)
    trace = run.run(video, QUESTION)
    run.close()
    assert trace.tokens == expected.tokens
    assert 1 + sum(each.committed for each in trace.rounds) == TOKENS
    proposed, wasted, accepted = (
        sum(getattr(each, name) for each in trace.rounds) for name in ("proposed", "wasted", "accepted")
    )
    assert proposed == wasted + accepted


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("layer", ["1.0", "0.5"])
def test_a_model_that_drafts_for_itself_runs_on_two_threads(
    pair: Pair, video: Video, expected: Trace, executor: str, layer: str
) -> None:
    run = Engine(
        target=pair.target,
        draft=pair.target,
        pruner=Uniform(ratio=0.5),
        relevance=Relevance(layer=layer, always=True),
        parallelism=Parallel(overlap_prefill=True),
        executor=EXECUTORS[executor],
        max_new_tokens=TOKENS,
    )
    trace = run.run(video, QUESTION)
    run.close()
    assert trace.tokens == expected.tokens
    assert all(len(each.evidence["relevance"]) == each.committed for each in trace.rounds)
    if executor == "thread":
        assert isinstance(run.draft, VideoLM)
        assert run.draft.model is not pair.target.model
        weights = zip(run.draft.model.parameters(), pair.target.model.parameters(), strict=True)
        assert all(ours is theirs for ours, theirs in weights)


@pytest.mark.parametrize("place", range(1, 12))
def test_a_generation_ends_with_a_verified_token(pair: Pair, video: Video, expected: Trace, place: int) -> None:
    target = copy.copy(pair.target)
    target.eos = frozenset({expected.tokens[place]})
    end = expected.tokens.index(expected.tokens[place]) + 1
    for draft, gamma in itertools.product((pair.draft, target), (2, 5)):
        run = Engine(
            target=target, draft=draft, parallelism=Parallel(), executor=Inline(), gamma=gamma, max_new_tokens=TOKENS
        )
        trace = run.run(video, QUESTION)
        assert (trace.tokens, trace.finish) == (expected.tokens[:end], "eos")


@pytest.mark.parametrize("limit", range(1, 10))
def test_a_budget_is_exact(pair: Pair, video: Video, expected: Trace, limit: int) -> None:
    for pre, post in CHOICES:
        run = engine(pair, limit=limit, pre_verify=pre, post_verify=post)
        trace = run.run(video, QUESTION)
        assert trace.tokens == expected.tokens[:limit]
        assert sum(each.proposed for each in trace.rounds) == sum(each.wasted + each.accepted for each in trace.rounds)


def test_a_draft_of_the_same_probabilities_is_never_thrown_away(pair: Pair, video: Video) -> None:
    run = Engine(
        target=pair.target, draft=pair.target, parallelism=Parallel(), executor=Inline(), gamma=4, max_new_tokens=17
    )
    rounds = run.run(video, QUESTION).rounds
    assert [each.accepted for each in rounds] == [
        1,
        4,
        4,
        4,
        3,
    ]  # the first token by pre-verification, then whole windows
    assert not any(each.rejected or each.wasted for each in rounds)


def test_without_either_it_is_the_sequential_schedule(pair: Pair, video: Video) -> None:
    ours = engine(pair, pre_verify=False, post_verify=False).run(video, QUESTION).rounds
    theirs = Engine(
        target=pair.target, draft=pair.draft, pruner=Uniform(ratio=0.5), gamma=4, max_new_tokens=TOKENS
    ).run(video, QUESTION).rounds  # fmt: skip

    def forms(rounds: tuple[Round, ...]) -> list[tuple[int, int, bool]]:
        return [(each.drafted, each.accepted, each.rejected) for each in rounds]

    assert forms(ours) == forms(theirs)


def test_a_measured_length_follows_the_times(pair: Pair, video: Video) -> None:
    schedule = Parallel(length="measured")
    run = Engine(
        target=pair.target,
        draft=pair.draft,
        parallelism=schedule,
        executor=Inline(),
        gamma=9,
        max_new_tokens=TOKENS,
    )
    run.run(video, QUESTION)
    for verify_s, length in ((0.5, 5), (0.1, 1), (0.01, 1), (3.0, 9)):
        assert schedule.window(9, [a_round(draft_s=0.4, verify_s=verify_s)] * 3) == length
    assert schedule.window(9, []) == 9


def a_round(**seconds: Any) -> Round:
    return Round(drafted=4, nodes=4, accepted=4, committed=4, rejected=False, proposed=4, ahead=4, **seconds)


@pytest.mark.parametrize("drafter", [Tree(), DynamicTree(), Adaptive(inner=Tree())], ids=["tree", "dynamic", "around"])
def test_trees_are_refused(pair: Pair, drafter: Drafter) -> None:
    with pytest.raises(ValueError, match=r"drafter: Parallel needs chains, got \w+"):
        Engine(target=pair.target, draft=pair.draft, drafter=drafter, parallelism=Parallel())


@pytest.mark.parametrize(("field", "value"), [("length", "auto"), ("pre_verify", 1), ("overlap_prefill", "yes")])
def test_a_wrong_choice_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"parallelism\.{field}: must be .*, got "):
        Parallel(**{field: value})


def test_the_generation_does_not_depend_on_where_drafts_are_drawn(pair: Pair, video: Video) -> None:
    params: dict[str, Any] = {"temperature": 0.8, "top_p": 0.9}

    def tokens(executor: str, seed: int) -> tuple[int, ...]:
        run = Engine(
            target=pair.target,
            draft=pair.draft,
            drafter=Chain(**params),
            verifier=Sampling(**params),
            parallelism=Parallel(),
            executor=EXECUTORS[executor],
            max_new_tokens=TOKENS,
        )
        found = run.run(video, QUESTION, seed=seed).tokens
        run.close()
        return found

    assert tokens("inline", 1) == tokens("thread", 1) != tokens("inline", 2)


def test_what_goes_wrong_on_the_other_thread_is_told_here(pair: Pair, video: Video) -> None:
    class Broken(Chain):
        def propose(self, *_: object) -> Draft:
            raise torch.OutOfMemoryError("no room for a draft")

    run = Engine(
        target=pair.target,
        draft=pair.draft,
        drafter=Broken(),
        parallelism=Parallel(),
        executor=Thread(),
        max_new_tokens=TOKENS,
    )
    for _ in range(2):  # and the next sample finds the worker as it was
        with pytest.raises(torch.OutOfMemoryError, match="no room for a draft"):
            run.run(video, QUESTION)
    run.close()
