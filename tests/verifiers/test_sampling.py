"""The distribution of the output is the target's, to 1e-12: every outcome of small distributions is gone through, none
is sampled."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from vsd.models.tree import chain, depths
from vsd.testing.branches import Branches, probs_of
from vsd.testing.small_model import SmallModel, committed, distance, output_of, probs_of_target, propose
from vsd.types import Evidence, Grid, VerifierContext
from vsd.utils.probabilities import SamplingParams
from vsd.utils.random_source import SeededRandom
from vsd.verifiers import sampling
from vsd.verifiers.sampling import Sampling

CONTEXT = VerifierContext(evidence=Evidence(grid=Grid(1, 1, 1)), left=99)
# parents, size of the vocabulary: all outcomes of a larger tree over as many tokens would be too many
TREES = {
    "chain": (chain(2), 4),
    "siblings": ((-1, -1), 4),
    "a child and a grandchild": ((-1, -1, 1), 3),
    "three and one below the second": ((-1, -1, -1, 1), 3),
    "two below each of two": ((-1, -1, 0, 0, 1, 1), 2),
}
SETTINGS = [
    {"temperature": 1.0},
    {"temperature": 0.5},
    {"temperature": 2.0, "top_p": 0.7},
    {"temperature": 1.0, "top_k": 2},
    {"temperature": 1.3, "top_p": 0.8, "top_k": 3},
    {"temperature": 0.0},
]


def probs_of_generations(
    verifier: Sampling, target: SmallModel, draft: SmallModel, parents: tuple[int, ...], params: SamplingParams
) -> dict[tuple[int, ...], float]:
    """The distribution of the first tokens, as many as one round commits at most; what it leaves open the target goes
    on with."""
    length = max(depths(parents)) + 2

    def generation(random: Branches) -> tuple[int, ...]:
        drafted = propose(draft, parents, params, random)
        tokens = committed(drafted, verifier.verify(drafted, output_of(target, drafted), CONTEXT, random))
        while len(tokens) < length:
            tokens = (*tokens, random.pick(target.probs(verifier, tokens)))
        return tokens

    return probs_of(generation)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("drawn", ["drawn", "greedy", "drawn at another temperature"])
@pytest.mark.parametrize("tree", TREES)
def test_the_output_probabilities_are_the_targets(tree: str, drawn: str, settings: dict[str, Any]) -> None:
    (parents, vocab), verifier = TREES[tree], Sampling(**settings)
    drafts = {
        "drawn": SamplingParams(**settings),
        "greedy": SamplingParams(),
        "drawn at another temperature": SamplingParams(temperature=1.7, top_k=3),
    }
    for seed in range(1 if len(parents) > 2 else 2):
        target, draft = SmallModel(seed, vocab), SmallModel(100 + seed, vocab)
        ours = probs_of_generations(verifier, target, draft, parents, drafts[drawn])
        assert sum(ours.values()) == pytest.approx(1, abs=1e-12)
        assert distance(ours, probs_of_target(verifier, target, max(depths(parents)) + 2)) < 1e-12


@pytest.mark.parametrize("bias", ["acceptance", "residual"])
def test_a_biased_rule_is_found_out(bias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if bias == "acceptance":
        monkeypatch.setattr(sampling, "acceptance", lambda p, q, token: min(1.0, 1.05 * float(p[token] / q[token])))
    else:
        monkeypatch.setattr(sampling, "residual", lambda p, q, token: p)
    verifier, target = Sampling(temperature=1.0), SmallModel(0, 4)
    ours = probs_of_generations(verifier, target, SmallModel(100, 4), chain(2), SamplingParams(temperature=1.0))
    assert distance(ours, probs_of_target(verifier, target, 3)) > 1e-3


def test_a_draft_of_the_same_probabilities_is_always_accepted() -> None:
    model, verifier = SmallModel(3, 4), Sampling(temperature=1.0)
    for seed in range(20):
        random = SeededRandom(seed)
        draft = propose(model, chain(3), SamplingParams(temperature=1.0), random)
        assert verifier.verify(draft, output_of(model, draft), CONTEXT, random).path == (0, 1, 2)


def test_the_seeded_source_follows_the_weights() -> None:
    random = SeededRandom(0)
    weights = torch.tensor([0.0, 1.0, 0.0, 3.0, 0.0])
    drawn = [random.pick(weights) for _ in range(2000)]
    assert set(drawn) == {1, 3}
    assert 0.7 < drawn.count(3) / 2000 < 0.8
    assert 0.2 < sum(random.happens(0.25) for _ in range(2000)) / 2000 < 0.3
    assert not any(random.happens(0.0) for _ in range(100))
    assert all(random.happens(1.0) for _ in range(100))
