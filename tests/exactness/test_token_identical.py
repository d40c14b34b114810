"""Token-identical: every lossless combination gives exactly the target's own greedy generation, in float64."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import Pair
from vsd.engine import Engine
from vsd.types import Evidence, Positions, Trace, Video

QUESTION = "What moves, and where to?"
TOKENS = 40


@dataclass(frozen=True, kw_only=True)
class Keep:
    """A pruner that keeps the first `count` visual tokens, or all."""

    count: int | None = None
    ratio: float = 0.0
    needs: frozenset[str] = frozenset()

    def keep(self, evidence: Evidence) -> Tensor:
        return torch.arange(evidence.tokens if self.count is None else self.count)


@pytest.fixture(scope="module")
def expected(pair: Pair, video: Video) -> Trace:
    return Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS).baseline().run(video, QUESTION)


def drafted(trace: Trace) -> int:
    return sum(round.drafted for round in trace.rounds)


def accepted(trace: Trace) -> int:
    return sum(round.accepted for round in trace.rounds)


def test_fixture_generations_vary_and_drafts_are_partly_right(pair: Pair, video: Video, expected: Trace) -> None:
    trace = Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS).run(video, QUESTION)
    assert len(set(expected.tokens)) > TOKENS // 3
    assert 0.1 < accepted(trace) / drafted(trace) < 0.95


@pytest.mark.parametrize("gamma", [1, 2, 5, 9, 2 * TOKENS])
@pytest.mark.parametrize("positions", ["original", "compact"])
def test_any_gamma(pair: Pair, video: Video, expected: Trace, gamma: int, positions: Positions) -> None:
    engine = Engine(target=pair.target, draft=pair.draft, gamma=gamma, max_new_tokens=TOKENS, positions=positions)
    trace = engine.run(video, QUESTION)
    assert trace.tokens == expected.tokens
    assert trace.finish == "length"
    assert 1 + sum(round.committed for round in trace.rounds) == TOKENS


@pytest.mark.parametrize("count", [None, 1, 5])
def test_any_number_of_kept_tokens(pair: Pair, video: Video, expected: Trace, count: int | None) -> None:
    pruner: Any = Keep(count=count)
    engine = Engine(target=pair.target, draft=pair.draft, pruner=pruner, max_new_tokens=TOKENS)
    trace = engine.run(video, QUESTION)
    assert trace.tokens == expected.tokens
    assert trace.kept == (trace.visual if count is None else count)


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_token_budget_is_exact(pair: Pair, video: Video, expected: Trace, limit: int) -> None:
    trace = Engine(target=pair.target, draft=pair.draft, max_new_tokens=limit).run(video, QUESTION)
    assert trace.tokens == expected.tokens[:limit]


@pytest.mark.parametrize("draft", ["itself", "another"])
@pytest.mark.parametrize("place", [0, 1, 3, 8, 20])
def test_end_of_sequence_inside_a_window(pair: Pair, video: Video, expected: Trace, place: int, draft: str) -> None:
    target = copy.copy(pair.target)
    target.eos = frozenset({expected.tokens[place]})
    end = expected.tokens.index(expected.tokens[place]) + 1
    engine = Engine(target=target, draft=target if draft == "itself" else pair.draft, gamma=6, max_new_tokens=TOKENS)
    trace = engine.run(video, QUESTION)
    assert trace.tokens == expected.tokens[:end] == engine.baseline().run(video, QUESTION).tokens
    assert trace.finish == "eos"
    assert 1 + sum(round.committed for round in trace.rounds) == end
    assert all(round.accepted <= round.committed for round in trace.rounds)


def test_a_draft_equal_to_the_target_is_always_right(pair: Pair, video: Video, expected: Trace) -> None:
    trace = Engine(target=pair.target, draft=pair.target, gamma=4, max_new_tokens=TOKENS).run(video, QUESTION)
    assert trace.tokens == expected.tokens
    assert accepted(trace) == drafted(trace)
    assert not any(round.rejected for round in trace.rounds)
    assert trace.target_forwards == len(trace.rounds) == 8  # 39 tokens behind the first, at most 5 a round
