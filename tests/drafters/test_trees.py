"""Tree drafters: the nodes are the draft model's own likeliest tokens, wherever in the tree they stand."""

from __future__ import annotations

import pytest
import torch

from tests.conftest import Pair
from vsd.drafters.dynamic_tree import DynamicTree
from vsd.drafters.tree import SPECVLM, Tree, form
from vsd.models import State
from vsd.models.tree import children, depths
from vsd.types import Context, Draft, Video
from vsd.utils.random_source import SeededRandom

CONTEXT = Context(prompt=(), tokens=[9, 31, 7])


def fresh(pair: Pair, video: Video) -> State:
    return pair.draft.prefill(pair.draft.encode(video, "What?"))[0]


def probs_after(pair: Pair, video: Video, tokens: list[int]) -> torch.Tensor:
    """The draft's distribution after its prompt and `tokens`, read token by token."""
    state = fresh(pair, video)
    for token in tokens:
        logits_1W = pair.draft.forward(torch.tensor([token]), (-1,), state).logits_MW
        state.commit((0,))
    return logits_1W[0].log_softmax(-1)


def tokens_to(draft: Draft, node: int) -> list[int]:
    tokens: list[int] = []
    while node >= 0:
        tokens.insert(0, int(draft.tokens_N[node]))
        node = int(draft.parents_N[node])
    return tokens


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


def test_children_are_the_likeliest_tokens(pair: Pair, video: Video) -> None:
    state = fresh(pair, video)
    draft = Tree().propose(CONTEXT, pair.draft, state, 5, SeededRandom(0))
    parents, ranks = form(SPECVLM)
    assert tuple(draft.parents_N.tolist()) == parents
    for node in (0, 3, 7, 12, 18, 22, 24):
        probs_W = probs_after(pair, video, [*CONTEXT.tokens, *tokens_to(draft, parents[node])])
        assert int(draft.tokens_N[node]) == int(probs_W.topk(10).indices[ranks[node]])
    assert state.generated == len(CONTEXT.tokens)


def test_drawn_children_come_with_the_probabilities_they_were_drawn_from(pair: Pair, video: Video) -> None:
    drafter = Tree(temperature=0.7, paths="0 1 0,0")
    draft = drafter.propose(CONTEXT, pair.draft, fresh(pair, video), 5, SeededRandom(1))
    assert draft.probs_NW is not None
    probs_W = drafter.probs(probs_after(pair, video, [*CONTEXT.tokens])[None])[0]
    torch.testing.assert_close(draft.probs_NW[0], probs_W, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(draft.probs_NW[1], probs_W, rtol=1e-9, atol=1e-12)


def worths(pair: Pair, video: Video, depth: int, width: int) -> dict[tuple[int, ...], float]:
    """The logarithm of each path's probability, of all paths that a dynamic tree may offer: on each level the `width`
    likeliest get as many children."""
    found = dict[tuple[int, ...], float]()
    level: list[tuple[int, ...]] = [()]
    for _ in range(depth):
        new = {
            (*path, int(token)): found.get(path, 0.0) + float(worth)
            for path in level
            for worth, token in zip(*probs_after(pair, video, [*CONTEXT.tokens, *path]).topk(width), strict=True)
        }
        found |= new
        level = sorted(new, key=lambda path: -new[path])[:width]
    return found


@pytest.mark.parametrize("total", [1, 5, 30])
def test_a_dynamic_tree_offers_the_worthiest_nodes(pair: Pair, video: Video, total: int) -> None:
    drafter = DynamicTree(total=total, top_k=3)
    draft = drafter.propose(CONTEXT, pair.draft, fresh(pair, video), 3, SeededRandom(0))
    parents = draft.parents_N.tolist()
    assert all(parent < node for node, parent in enumerate(parents))
    known = worths(pair, video, depth=3, width=3)
    assert len(known) == 3 + 9 + 9
    offered = {tuple(tokens_to(draft, node)) for node in range(len(parents))}
    assert len(offered) == len(parents)
    assert offered == set(sorted(known, key=lambda path: -known[path])[:total])


def test_a_dynamic_tree_reads_no_more_than_it_announces(pair: Pair, video: Video) -> None:
    state = fresh(pair, video)
    drafter = DynamicTree(total=4, top_k=5)
    drafter.propose(CONTEXT, pair.draft, state, 4, SeededRandom(0))
    assert len(state.pending) <= drafter.nodes(4)
