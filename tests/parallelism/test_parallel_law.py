"""Sampling under the parallel schedule: the law of the answer is the target's, to 1e-12, whatever is drafted ahead."""

from __future__ import annotations

from typing import Any

import pytest

from tests.branches import Branches, law_of
from tests.parallelism.small_sides import a_session
from tests.small_model import SmallModel, distance, law_of_target
from vsd.law import Law
from vsd.parallelism import Parallel
from vsd.verifiers import sampling
from vsd.verifiers.sampling import Sampling

WORDS = 3
CHOICES = [(True, True), (True, False), (False, True), (False, False)]


def law_of_answers(schedule: Parallel, verifier: Sampling, drawn: Law, seed: int, gamma: int, length: int) -> Any:
    """The law of the `length` words behind a first one, which no model looks at."""

    def answer(chance: Branches) -> tuple[int, ...]:
        target, draft = SmallModel(seed, WORDS), SmallModel(100 + seed, WORDS)
        session = a_session(target, draft, verifier, chance, limit=1 + length, gamma=gamma, law=drawn)
        schedule.decode(session)
        return tuple(session.answer.tokens[1:])

    return law_of(answer)


@pytest.mark.parametrize(("pre", "post"), CHOICES)
@pytest.mark.parametrize("drawn", [Law(temperature=1.0), Law(), Law(temperature=1.7, top_k=2)], ids=str)
@pytest.mark.parametrize("gamma", [1, 2])
def test_the_law_is_the_targets(pre: bool, post: bool, drawn: Law, gamma: int) -> None:
    verifier, length = Sampling(temperature=1.0, top_p=0.95), 3
    ours = law_of_answers(
        Parallel(executor="inline", pre_verify=pre, post_verify=post), verifier, drawn, 1, gamma, length
    )
    assert sum(ours.values()) == pytest.approx(1, abs=1e-12)
    assert distance(ours, law_of_target(verifier, SmallModel(1, WORDS), length)) < 1e-12


def test_a_biased_rule_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "residual", lambda p, q, token: p)
    verifier, law = Sampling(temperature=1.0), Law(temperature=1.0)
    ours = law_of_answers(Parallel(executor="inline"), verifier, law, 1, 2, 2)
    assert distance(ours, law_of_target(verifier, SmallModel(1, WORDS), 2)) > 1e-3
