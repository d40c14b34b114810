"""Sampling under the parallel schedule: the distribution of the generation is the target's, to 1e-12, whatever is
drafted ahead."""

from __future__ import annotations

from typing import Any

import pytest

from vsd.parallelism import Parallel
from vsd.testing.branches import Branches, probs_of
from vsd.testing.small_model import SmallModel, distance, probs_of_target
from vsd.testing.small_sides import both_sides
from vsd.utils.probabilities import SamplingParams
from vsd.verifiers import sampling
from vsd.verifiers.sampling import Sampling

VOCAB = 3
CHOICES = [(True, True), (True, False), (False, True), (False, False)]


def probs_of_generations(
    schedule: Parallel,
    verifier: Sampling,
    drawn: SamplingParams,
    seed: int,
    gamma: int,
    length: int,
    first: str = "given",
) -> Any:
    """The distribution of `length` tokens: those behind a first one which no model looks at, or with a first one that
    was drafted too."""
    skipped = int(first == "given")

    def generation(random: Branches) -> tuple[int, ...]:
        target, draft = SmallModel(seed, VOCAB), SmallModel(100 + seed, VOCAB)
        session, writer = both_sides(
            target, draft, verifier, random, limit=skipped + length, gamma=gamma, params=drawn, first=first
        )
        schedule.decode(session, writer)
        return tuple(session.generation.tokens[skipped:])

    return probs_of(generation)


@pytest.mark.parametrize(("pre", "post"), CHOICES)
@pytest.mark.parametrize(
    "drawn", [SamplingParams(temperature=1.0), SamplingParams(), SamplingParams(temperature=1.7, top_k=2)], ids=str
)
@pytest.mark.parametrize("gamma", [1, 2])
@pytest.mark.parametrize("first", ["given", "drafted"])
def test_the_probabilities_are_the_targets(
    pre: bool, post: bool, drawn: SamplingParams, gamma: int, first: str
) -> None:
    verifier, length = Sampling(temperature=1.0, top_p=0.95), 3
    schedule = Parallel(pre_verify=pre, post_verify=post)
    ours = probs_of_generations(schedule, verifier, drawn, 1, gamma, length, first)
    assert sum(ours.values()) == pytest.approx(1, abs=1e-12)
    assert distance(ours, probs_of_target(verifier, SmallModel(1, VOCAB), length)) < 1e-12


def test_a_biased_rule_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "residual", lambda p, q, token: p)
    verifier, params = Sampling(temperature=1.0), SamplingParams(temperature=1.0)
    ours = probs_of_generations(Parallel(), verifier, params, 1, 2, 2)
    assert distance(ours, probs_of_target(verifier, SmallModel(1, VOCAB), 2)) > 1e-3
