"""Tree drafters: the nodes are the draft model's own likeliest words, wherever in the tree they stand."""

from __future__ import annotations

import pytest
import torch

from tests.conftest import Pair
from vsd.drafters.dynamic_tree import DynamicTree
from vsd.drafters.tree import SPECVLM, Tree, form
from vsd.models import State
from vsd.models.tree import children, depths
from vsd.types import Context, Draft, Video
from vsd.utils.random_source import Seeded

CONTEXT = Context(prompt=(), tokens=[9, 31, 7])


def fresh(pair: Pair, video: Video) -> State:
    return pair.draft.prefill(pair.draft.encode(video, "What?"))[0]


def law_after(pair: Pair, video: Video, words: list[int]) -> torch.Tensor:
    """The draft's law after its prompt and `words`, read token by token."""
    state = fresh(pair, video)
    for word in words:
        logits_1W = pair.draft.forward(torch.tensor([word]), (-1,), state).logits_MW
        state.commit((0,))
    return logits_1W[0].log_softmax(-1)


def words_to(draft: Draft, node: int) -> list[int]:
    words: list[int] = []
    while node >= 0:
        words.insert(0, int(draft.tokens_N[node]))
        node = int(draft.parents_N[node])
    return words


def test_the_form_of_specvlm() -> None:
    parents, _ = form(SPECVLM)
    levels = depths(parents)
    assert [levels.count(level) for level in range(5)] == [4, 8, 8, 3, 2]
    assert len(children(parents)[-1]) == 4


def test_gamma_cuts_the_depth() -> None:
    assert len(form(SPECVLM, 2).parents) == 12
    assert Tree().nodes(5) == 25
    assert Tree().nodes(1) == 4


@pytest.mark.parametrize("paths", ["", "0 0", "0,0", "a", "0 1,0", "0,-1"])
def test_a_tree_with_an_unknown_parent_is_refused(paths: str) -> None:
    with pytest.raises(ValueError, match=r"^drafter\.paths: must be paths of ranks"):
        Tree(paths=paths)


def test_children_are_the_likeliest_words(pair: Pair, video: Video) -> None:
    state = fresh(pair, video)
    draft = Tree().propose(CONTEXT, pair.draft, state, 5, Seeded(0))
    parents, ranks = form(SPECVLM)
    assert tuple(draft.parents_N.tolist()) == parents
    for node in (0, 3, 7, 12, 18, 22, 24):
        law_W = law_after(pair, video, [*CONTEXT.tokens, *words_to(draft, parents[node])])
        assert int(draft.tokens_N[node]) == int(law_W.topk(10).indices[ranks[node]])
    assert state.generated == len(CONTEXT.tokens)


def test_drawn_children_come_with_the_law_they_were_drawn_from(pair: Pair, video: Video) -> None:
    drafter = Tree(temperature=0.7, paths="0 1 0,0")
    draft = drafter.propose(CONTEXT, pair.draft, fresh(pair, video), 5, Seeded(1))
    assert draft.probs_NW is not None
    law_W = drafter.law(law_after(pair, video, [*CONTEXT.tokens])[None])[0]
    torch.testing.assert_close(draft.probs_NW[0], law_W, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(draft.probs_NW[1], law_W, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("total", [1, 5, 30])
def test_a_dynamic_tree_offers_the_worthiest_nodes(pair: Pair, video: Video, total: int) -> None:
    drafter = DynamicTree(total=total, top_k=3)
    draft = drafter.propose(CONTEXT, pair.draft, fresh(pair, video), 3, Seeded(0))
    parents = draft.parents_N.tolist()
    assert len(parents) == min(total, 3 + 9 + 9)
    assert all(parent < node for node, parent in enumerate(parents))
    first_W = law_after(pair, video, [*CONTEXT.tokens])
    assert int(draft.tokens_N[0]) == int(first_W.argmax())
    worth = []
    for node in range(len(parents)):
        words = words_to(draft, node)
        worth.append(
            sum(
                float(law_after(pair, video, [*CONTEXT.tokens, *words[:place]])[word])
                for place, word in enumerate(words)
            )
        )
    others = [float(value) for value in first_W.topk(3).values[parents.count(-1) :]]
    assert all(min(worth) >= other - 1e-9 for other in others) or total >= 21


def test_a_dynamic_tree_reads_no_more_than_it_announces(pair: Pair, video: Video) -> None:
    state = fresh(pair, video)
    drafter = DynamicTree(total=4, top_k=5)
    drafter.propose(CONTEXT, pair.draft, state, 4, Seeded(0))
    assert len(state.pending) <= drafter.nodes(4)
