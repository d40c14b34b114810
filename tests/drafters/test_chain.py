"""A chain is the draft model's own greedy continuation, whatever was accepted before."""

from __future__ import annotations

import pytest
import torch

from tests.conftest import Pair
from vsd.drafters import Chain
from vsd.types import Context, Video
from vsd.utils.random_source import SeededRandom


def continuation(pair: Pair, video: Video, context: list[int], count: int) -> list[int]:
    """What the draft itself says after `context`, one token at a time from a fresh prefill."""
    state, _ = pair.draft.prefill(pair.draft.encode(video, "What?"))
    tokens = list(context)
    for place in range(len(context) + count - 1):
        logits = pair.draft.forward(torch.tensor([tokens[place]]), (-1,), state).logits_MW
        state.commit((0,))
        if place >= len(context) - 1:
            tokens.append(int(logits.argmax()))
    return tokens[len(context) :]


@pytest.mark.parametrize("accepted", [0, 2, 4])
def test_chain_follows_the_draft_model(pair: Pair, video: Video, accepted: int) -> None:
    state, _ = pair.draft.prefill(pair.draft.encode(video, "What?"))
    random, context = SeededRandom(0), [9]
    draft = Chain().propose(Context(prompt=(), tokens=context), pair.draft, state, 4, random)
    assert draft.tokens_N.tolist() == continuation(pair, video, context, 4)
    assert draft.parents_N.tolist() == [-1, 0, 1, 2]
    assert draft.probs_NW is None

    state.rollback(min(state.length, state.prompt + 1 + accepted))
    context = [*context, *draft.tokens_N.tolist()[:accepted], 77]
    again = Chain().propose(Context(prompt=(), tokens=context), pair.draft, state, 3, random)
    assert again.tokens_N.tolist() == continuation(pair, video, context, 3)


def test_a_chain_has_as_many_nodes_as_gamma() -> None:
    assert Chain().nodes(7) == 7


def test_a_chain_needs_a_model() -> None:
    with pytest.raises(ValueError, match="draft: this drafter asks a model"):
        Chain().propose(Context(prompt=(), tokens=[1]), None, None, 3, SeededRandom(0))
