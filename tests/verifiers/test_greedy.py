"""The greedy rule by hand: the longest agreeing path."""

from __future__ import annotations

import pytest

from vsd.models.tree import chain
from vsd.verifiers.greedy import greedy_path


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
