"""Token-identical, whoever drafts, whatever is pruned and whichever lossless rule verifies: all files of conf/."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from tests.conftest import Pair
from vsd.drafters import Drafter
from vsd.engine import Engine
from vsd.pruners.base import Pruner
from vsd.pruners.uniform import Uniform
from vsd.types import Trace, Video
from vsd.verifiers import Verifier

CONF = Path(__file__).resolve().parents[2] / "conf"
QUESTION = "What moves, and what moves?"
TOKENS = 14
DRAFTERS = sorted(file.stem for file in (CONF / "drafter").glob("*.yaml"))
PRUNERS = sorted(file.stem for file in (CONF / "pruner").glob("*.yaml"))
# For each verifier the settings under which it is greedy verification.
STRICT = {
    "greedy": [],
    "sampling": ["temperature=0"],
    "lvspec": ["verifier.looseness=0"],
    "fly": ["verifier.entropy=1.1"],
    "typical": ["verifier.epsilon=1", "verifier.delta=1e6"],
    "topk": ["verifier.k=1"],
    "random_relax": ["verifier.looseness=0"],
    "exact_prefix": ["verifier.length=99"],
}
MADE_UP = {"synthetic"}


def method(group: str, name: str, *overrides: str) -> Any:
    return instantiate(composed(group, name, *overrides))


@cache
def composed(group: str, name: str, *overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=[f"{group}={name}", *overrides])[group]


def engine(
    pair: Pair,
    drafter: Drafter,
    verifier: Verifier,
    *,
    limit: int = TOKENS,
    pruner: Pruner = Uniform(ratio=0.5),  # noqa: B008 - frozen
) -> Engine:
    return Engine(
        target=pair.target,
        draft=pair.draft,
        pruner=pruner,
        drafter=drafter,
        verifier=verifier,
        gamma=4,
        max_new_tokens=limit,
    )


@pytest.fixture(scope="module")
def expected(pair: Pair, video: Video) -> Trace:
    return Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS).baseline().run(video, QUESTION)


def test_every_verifier_has_a_strict_setting() -> None:
    assert {file.stem for file in (CONF / "verifier").glob("*.yaml")} == set(STRICT) | MADE_UP


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("drafter", DRAFTERS)
def test_every_strict_rule_is_token_identical(
    pair: Pair, video: Video, expected: Trace, drafter: str, pruner: str
) -> None:
    for verifier, strict in STRICT.items():
        rule = method("verifier", verifier, *strict)
        trace = engine(pair, method("drafter", drafter), rule, pruner=method("pruner", pruner, "ratio=0.5")).run(
            video, QUESTION, seed=1
        )
        assert trace.tokens == expected.tokens, verifier
        assert not any(round.relaxed for round in trace.rounds), verifier
        assert 1 + sum(round.committed for round in trace.rounds) == TOKENS, verifier


@pytest.mark.parametrize("drafter", DRAFTERS)
@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_the_budget_ends_inside_a_draft(pair: Pair, video: Video, expected: Trace, drafter: str, limit: int) -> None:
    trace = engine(pair, method("drafter", drafter), method("verifier", "greedy"), limit=limit).run(video, QUESTION)
    assert trace.tokens == expected.tokens[:limit]


@pytest.mark.parametrize("drafter", DRAFTERS)
@pytest.mark.parametrize("place", [1, 5, 9])
def test_the_generation_ends_inside_a_draft(
    pair: Pair, video: Video, expected: Trace, drafter: str, place: int
) -> None:
    target = copy.copy(pair.target)
    target.eos = frozenset({expected.tokens[place]})
    end = expected.tokens.index(expected.tokens[place]) + 1
    for draft in (pair.draft, target):
        run = Engine(target=target, draft=draft, drafter=method("drafter", drafter), gamma=6, max_new_tokens=TOKENS)
        trace = run.run(video, QUESTION)
        assert trace.tokens == expected.tokens[:end]
        assert trace.finish == "eos"


@pytest.mark.parametrize("drafter", DRAFTERS)
def test_one_visual_token_is_enough(pair: Pair, video: Video, expected: Trace, drafter: str) -> None:
    run = engine(pair, method("drafter", drafter), method("verifier", "greedy"), pruner=Uniform(ratio=0.999))
    trace = run.run(video, QUESTION)
    assert trace.tokens == expected.tokens
    assert trace.kept == 1 or not run.draft


@pytest.mark.parametrize("drafter", DRAFTERS)
@pytest.mark.parametrize("verifier", sorted(MADE_UP | STRICT.keys() - {"greedy", "sampling"}))
def test_a_lossy_rule_keeps_the_books(pair: Pair, video: Video, drafter: str, verifier: str) -> None:
    trace = engine(pair, method("drafter", drafter), method("verifier", verifier)).run(video, QUESTION, seed=2)
    assert len(trace.tokens) == 1 + sum(round.committed for round in trace.rounds) == TOKENS
    for round in trace.rounds:
        assert len(round.gaps) == len(round.relaxed)
        assert all(0 <= place < round.accepted for place in round.relaxed)
        assert all(0 <= gap <= 1 for gap in round.gaps)


@pytest.mark.parametrize("drafter", ["chain", "tree"])
def test_sampling_gives_the_same_generation_for_the_same_seed(pair: Pair, video: Video, drafter: str) -> None:
    dials = ["temperature=0.8", "top_p=0.9"]
    run = engine(pair, method("drafter", drafter, *dials), method("verifier", "sampling", *dials))
    first, again, other = (run.run(video, QUESTION, seed=seed).tokens for seed in (1, 1, 2))
    assert first == again != other
