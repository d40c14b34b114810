"""The pure functions that pick indices."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vsd.pruners.attention import Attention
from vsd.pruners.select import budget, centres, linspace, top
from vsd.types import Evidence, Grid

quick = settings(max_examples=60)


@quick
@given(st.integers(1, 100_000), st.integers(0, 9999))
def test_budget_is_the_exact_floor(tokens: int, per_myriad: int) -> None:
    exact = int(tokens * (1 - Fraction(per_myriad, 10_000)))
    assert budget(tokens, per_myriad / 10_000) == max(1, exact)


@quick
@given(st.data())
def test_strides_are_unique_and_in_range(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 300))
    k = data.draw(st.integers(0, n))
    for stride in (linspace, centres):
        kept = stride(n, k).tolist()
        assert len(set(kept)) == k
        assert all(0 <= index < n for index in kept)
    assert centres(n, n).tolist() == linspace(n, n).tolist() == list(range(n))


def test_strides_by_hand() -> None:
    assert linspace(10, 4).tolist() == [0, 3, 6, 9]
    assert linspace(10, 1).tolist() == [0]
    assert centres(10, 2).tolist() == [2, 7]
    assert centres(9, 1).tolist() == [4]


def test_ties_go_to_the_earlier_token() -> None:
    assert top(torch.tensor([0.0, 1.0, 2.0, 1.0, 1.0]), 3).tolist() == [1, 2, 3]
    assert top(torch.zeros(5000), 7).tolist() == list(range(7))


@quick
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40), st.data())
def test_top_is_the_sorted_prefix(scores: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(scores)))
    by_rank = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    assert top(torch.tensor(scores), k).tolist() == sorted(by_rank[:k])


def test_scores_of_nan_and_of_another_shape_are_refused() -> None:
    for score_V, message in ((torch.tensor([0.1, float("nan")]), "NaN"), (torch.ones(2, 2), "shape")):
        evidence = Evidence(grid=Grid(1, 1, 2), values={"attention": score_V})
        with pytest.raises(ValueError, match=message):
            Attention(ratio=0.5).keep(evidence)
