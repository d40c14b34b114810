"""Draft and target at once give the tokens of the target alone: any executor, any of the schedule's choices."""

from __future__ import annotations

import pytest

from tests.conftest import Pair
from vsd.drafters import Chain
from vsd.engine import Engine
from vsd.parallelism import Executor, Inline, Parallel, Thread
from vsd.pruners.uniform import Uniform
from vsd.types import Trace, Video

QUESTION = "What moves, and what moves?"
TOKENS = 24
CHOICES = [(True, True), (True, False), (False, True), (False, False)]


@pytest.fixture(scope="module")
def expected(pair: Pair, video: Video) -> Trace:
    return Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS).baseline().run(video, QUESTION)


def engine(pair: Pair, *, gamma: int = 4, limit: int = TOKENS, **fields: object) -> Engine:
    return Engine(
        target=pair.target,
        draft=pair.draft,
        pruner=Uniform(ratio=0.5),
        parallelism=Parallel(**fields),  # type: ignore[arg-type]
        gamma=gamma,
        max_new_tokens=limit,
    )


@pytest.mark.parametrize(("pre", "post"), CHOICES)
@pytest.mark.parametrize("executor", [Inline(), Thread()], ids=["inline", "thread"])
@pytest.mark.parametrize("gamma", [1, 2, 3, 7, 40])
def test_the_tokens_are_the_targets_own(
    pair: Pair, video: Video, expected: Trace, executor: Executor, pre: bool, post: bool, gamma: int
) -> None:
    run = engine(pair, gamma=gamma, executor=executor, pre_verify=pre, post_verify=post)
    trace = run.run(video, QUESTION)
    run.close()
    assert trace.tokens == expected.tokens
    assert 1 + sum(each.committed for each in trace.rounds) == TOKENS
    proposed, wasted, accepted = (
        sum(getattr(each, name) for each in trace.rounds) for name in ("proposed", "wasted", "accepted")
    )
    assert proposed == wasted + accepted
