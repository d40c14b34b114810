"""One cache rule: after a commit the cache is what it would be had only the accepted tokens ever been seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.collected import collector_of
from tests.conftest import Pair
from vsd.models import State
from vsd.models.tree import ancestors, chain, depths
from vsd.types import Prompt, Video

#        0
#      / | \
#     1  2  3      two roots would hang on -1; here node 0 is the last committed token, as in verification
#     |  |
#     4  5
#        |
#        6
TREE = (-1, 0, 0, 0, 1, 2, 5)
TOKENS = (11, 20, 30, 40, 50, 60, 70)


@pytest.fixture(scope="module")
def prompt(pair: Pair, video: Video) -> Prompt:
    return pair.target.encode(video, "Where is it?")


def fresh(pair: Pair, prompt: Prompt, capacity: int = 100) -> State:
    return pair.target.prefill(prompt, capacity=capacity)[0]


def step_by_step(pair: Pair, prompt: Prompt, tokens: tuple[int, ...]) -> tuple[State, torch.Tensor]:
    state = fresh(pair, prompt)
    rows = []
    for token in tokens:
        rows.append(pair.target.forward(torch.tensor([token]), (-1,), state).logits_MW)
        state.commit((0,))
    return state, torch.cat(rows) if rows else torch.empty(0)


def assert_same_cache(pair: Pair, one: State, other: State) -> None:
    assert one.length == other.length
    for layer in range(pair.target.depth):
        for mine, theirs in zip(one.rows(layer), other.rows(layer), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("path", [(), (0,), (0, 1), (0, 3), (0, 1, 4), (0, 2, 5, 6)])
def test_a_tree_path_is_as_if_built_token_by_token(pair: Pair, prompt: Prompt, path: tuple[int, ...]) -> None:
    state = fresh(pair, prompt)
    output = pair.target.forward(torch.tensor(TOKENS), torch.tensor(TREE), state)
    state.commit(path)
    expected, logits_MW = step_by_step(pair, prompt, tuple(TOKENS[node] for node in path))
    assert_same_cache(pair, state, expected)
    if path:
        torch.testing.assert_close(output.logits_MW[list(path)], logits_MW, rtol=1e-12, atol=1e-12)
    # And the next step sees the same past at the same position.
    after = [pair.target.forward(torch.tensor([5]), (-1,), each).logits_MW for each in (state, expected)]
    torch.testing.assert_close(after[0], after[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("accepted", [0, 1, 3, 5])
def test_a_chain_prefix_is_as_if_built_token_by_token(pair: Pair, prompt: Prompt, accepted: int) -> None:
    state = fresh(pair, prompt)
    output = pair.target.forward(torch.tensor(TOKENS[:5]), chain(5), state)
    state.commit(range(accepted))
    expected, logits_MW = step_by_step(pair, prompt, TOKENS[:accepted])
    assert_same_cache(pair, state, expected)
    if accepted:
        torch.testing.assert_close(output.logits_MW[:accepted], logits_MW, rtol=1e-12, atol=1e-12)


def test_a_tree_grows_level_by_level(pair: Pair, prompt: Prompt) -> None:
    whole, grown = fresh(pair, prompt), fresh(pair, prompt)
    expected = pair.target.forward(torch.tensor(TOKENS), TREE, whole).logits_MW
    levels = [(0, 1), (1, 4), (4, 6), (6, 7)]
    logits = [pair.target.forward(torch.tensor(TOKENS[a:b]), TREE[a:b], grown).logits_MW for a, b in levels]
    torch.testing.assert_close(torch.cat(logits), expected, rtol=1e-12, atol=1e-12)
    for state in (whole, grown):
        state.commit((0, 2, 5))
    assert_same_cache(pair, whole, grown)


def test_rollback_is_a_number(pair: Pair, prompt: Prompt) -> None:
    state, _ = step_by_step(pair, prompt, TOKENS[:4])
    state.rollback(prompt.length + 2)
    assert state.generated == 2
    assert_same_cache(pair, state, step_by_step(pair, prompt, TOKENS[:2])[0])
    for length in (prompt.length - 1, prompt.length + 3):
        with pytest.raises(ValueError, match="length: a state can go back to"):
            state.rollback(length)


@pytest.mark.parametrize("path", [(1,), (0, 4), (0, 9), (0, 1, 5)])
def test_a_path_off_the_tree_is_refused(pair: Pair, prompt: Prompt, path: tuple[int, ...]) -> None:
    state = fresh(pair, prompt)
    pair.target.forward(torch.tensor(TOKENS), TREE, state)
    with pytest.raises(ValueError, match="path: node"):
        state.commit(path)


def test_a_full_cache_and_a_child_before_its_parent_are_refused(pair: Pair, prompt: Prompt) -> None:
    state = fresh(pair, prompt, capacity=prompt.length + 2)
    with pytest.raises(ValueError, match="capacity: "):
        pair.target.forward(torch.tensor([1, 2, 3]), chain(3), state)
    with pytest.raises(ValueError, match="parents: the parent of node 0"):
        pair.target.forward(torch.tensor([1, 2]), (1, -1), state)


def test_hidden_states_only_if_wanted(pair: Pair, prompt: Prompt) -> None:
    state = fresh(pair, prompt)
    assert not pair.target.forward(torch.tensor([7]), (-1,), state).evidence
    state.commit(())
    collector = collector_of(pair.target, prompt, {"hidden:1.0", "features"}, in_passes={"hidden:1.0"})
    output = pair.target.forward(torch.tensor([7, 8]), (-1, 0), state, collector=collector)
    assert set(output.evidence) == {"hidden:1.0"}
    torch.testing.assert_close(pair.target.model.lm_head(output.evidence["hidden:1.0"]), output.logits_MW)


def test_rows_of_a_kind_that_has_none_are_refused(pair: Pair, prompt: Prompt) -> None:
    with pytest.raises(ValueError, match=r"^needs: keys:1 must be evidence that later passes have too, got 'keys:1'"):
        collector_of(pair.target, prompt, {"keys:1"}, in_passes={"keys:1"})


@pytest.mark.parametrize("layer", ["0", "1", "2", "3"])
def test_hidden_states_of_a_layer_are_transformers_own(pair: Pair, prompt: Prompt, layer: str) -> None:
    stock = pair.target.text(
        inputs_embeds=prompt.embeds_TD[None], position_ids=prompt.positions_PT[:, None].squeeze(0)
        if prompt.positions_PT.shape[0] == 1 else prompt.positions_PT[:, None],
        attention_mask={"full_attention": None}, use_cache=False, output_hidden_states=True,
    ).hidden_states[int(layer)]  # fmt: skip
    cut = prompt.length - 1
    need, shorter = f"hidden:{layer}", replace_tail(prompt, cut)
    collector = collector_of(pair.target, shorter, {need}, in_passes={need})
    prefill = pair.target.start_prefill(shorter, collector=collector, capacity=prompt.length)
    prefill.finish()
    torch.testing.assert_close(collector.rows()[need][0], stock[0, -2])  # of the prompt its last token's
    output = pair.target.forward(prompt.ids_T[cut:], (-1,), prefill.state, collector=collector)
    torch.testing.assert_close(output.evidence[need][0], stock[0, -1])


def replace_tail(prompt: Prompt, cut: int) -> Prompt:
    """The prompt without its tokens from `cut` on."""
    return replace(
        prompt,
        ids_T=prompt.ids_T[:cut],
        embeds_TD=prompt.embeds_TD[:cut],
        positions_PT=prompt.positions_PT[:, :cut],
        next_position=int(prompt.positions_PT[0, cut]),
    )


def test_tree_arithmetic() -> None:
    assert chain(3) == (-1, 0, 1)
    assert depths(TREE) == [0, 1, 1, 1, 2, 2, 3]
    assert ancestors(TREE)[6].nonzero()[:, 0].tolist() == [0, 2, 5, 6]
