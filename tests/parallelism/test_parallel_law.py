"""Sampling under the parallel schedule: the law of the answer is the target's, to 1e-12, whatever is drafted ahead."""

from __future__ import annotations

from typing import Any

import pytest

from tests.branches import Branches, law_of
from tests.parallelism.small_sides import a_session
from tests.small_model import SmallModel, distance, law_of_target
from vsd.parallelism import Parallel
from vsd.utils.probabilities import Law
from vsd.verifiers import sampling
from vsd.verifiers.sampling import Sampling

WORDS = 3
CHOICES = [(True, True), (True, False), (False, True), (False, False)]


def law_of_answers(
    schedule: Parallel, verifier: Sampling, drawn: Law, seed: int, gamma: int, length: int, first: str = "given"
) -> Any:
    """The law of `length` words: those behind a first one which no model looks at, or with a first one that was drafted
    too."""
    skipped = int(first == "given")

    def answer(chance: Branches) -> tuple[int, ...]:
        target, draft = SmallModel(seed, WORDS), SmallModel(100 + seed, WORDS)
        session = a_session(
            target, draft, verifier, chance, limit=skipped + length, gamma=gamma, law=drawn, first=first
        )
        schedule.decode(session)
        return tuple(session.answer.tokens[skipped:])

    return law_of(answer)


@pytest.mark.parametrize(("pre", "post"), CHOICES)
@pytest.mark.parametrize("drawn", [Law(temperature=1.0), Law(), Law(temperature=1.7, top_k=2)], ids=str)
@pytest.mark.parametrize("gamma", [1, 2])
@pytest.mark.parametrize("first", ["given", "drafted"])
def test_the_law_is_the_targets(pre: bool, post: bool, drawn: Law, gamma: int, first: str) -> None:
    verifier, length = Sampling(temperature=1.0, top_p=0.95), 3
    schedule = Parallel(executor="inline", pre_verify=pre, post_verify=post)
    ours = law_of_answers(schedule, verifier, drawn, 1, gamma, length, first)
    assert sum(ours.values()) == pytest.approx(1, abs=1e-12)
    assert distance(ours, law_of_target(verifier, SmallModel(1, WORDS), length)) < 1e-12


def test_a_biased_rule_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "residual", lambda p, q, token: p)
    verifier, law = Sampling(temperature=1.0), Law(temperature=1.0)
    ours = law_of_answers(Parallel(executor="inline"), verifier, law, 1, 2, 2)
    assert distance(ours, law_of_target(verifier, SmallModel(1, WORDS), 2)) > 1e-3
