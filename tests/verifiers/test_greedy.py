"""The greedy rule on small tensors, without a model: longest agreeing path, then the target's own token."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vsd.models.tree import chain
from vsd.types import Draft, Evidence, Grid, Output, VerifierContext
from vsd.utils.random_source import SeededRandom
from vsd.verifiers import Greedy
from vsd.verifiers.greedy import greedy_path

CONTEXT = VerifierContext(evidence=Evidence(grid=Grid(1, 1, 1)), left=99)


@pytest.mark.parametrize(
    ("tokens", "argmax", "path"),
    [
        ([], [5], ()),
        ([5, 6, 7], [5, 6, 7, 8], (0, 1, 2)),
        ([5, 6, 7], [5, 9, 7, 8], (0,)),
        ([5, 6, 7], [9, 6, 7, 8], ()),
    ],
)
def test_chain(tokens: list[int], argmax: list[int], path: tuple[int, ...]) -> None:
    assert greedy_path(tokens, chain(len(tokens)), argmax) == path


def test_the_longest_path_of_a_tree_wins() -> None:
    #  root -> 0 (5), 1 (5) ; 0 -> 2 (7) ; 1 -> 3 (6) ; 3 -> 4 (8)
    parents, tokens = (-1, -1, 0, 1, 3), (5, 5, 7, 6, 8)
    assert greedy_path(tokens, parents, (5, 6, 6, 0, 8, 1)) == (1, 3, 4)
    assert greedy_path(tokens, parents, (5, 7, 0, 0, 0, 0)) == (0, 2)


@given(st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 3), min_size=7, max_size=7))
def test_the_generation_is_the_targets_own(tokens: list[int], argmax: list[int]) -> None:
    draft = Draft(tokens_N=torch.tensor(tokens, dtype=torch.long), parents_N=torch.tensor(chain(len(tokens))))
    logits_MW = torch.nn.functional.one_hot(torch.tensor(argmax[: len(tokens) + 1]), 4).float()
    verdict = Greedy().verify(draft, Output(logits_MW=logits_MW), CONTEXT, SeededRandom(0))
    committed = [*(tokens[node] for node in verdict.path), verdict.bonus]
    assert committed == argmax[: len(committed)]
    assert len(committed) > len(tokens) or tokens[len(verdict.path)] != argmax[len(verdict.path)]
    assert verdict.relaxed == (False,) * len(verdict.path)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_behind_a_node_that_is_not_read_nothing_is_said(tokens: list[int], argmax: list[int]) -> None:
    draft = Draft(tokens_N=torch.tensor(tokens), parents_N=torch.tensor(chain(len(tokens))))
    logits_MW = torch.nn.functional.one_hot(torch.tensor(argmax[: len(tokens)]), 4).float()
    verdict = Greedy().verify(draft, Output(logits_MW=logits_MW), CONTEXT, SeededRandom(0))
    count = len(verdict.path)
    assert tokens[:count] == argmax[:count]
    assert verdict.bonus == (None if count == len(tokens) else argmax[count])
