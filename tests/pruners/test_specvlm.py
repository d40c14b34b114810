"""SpecVLM's two stages, worked by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vsd.pruners.attention import Attention
from vsd.pruners.specvlm import SpecVLM, fewest_holding
from vsd.types import Evidence, Grid


def attended(*weights: float) -> Evidence:
    return Evidence(grid=Grid(1, 1, len(weights)), values={"attention": torch.tensor(weights)})


TEN = attended(0.02, 0.02, 0.20, 0.02, 0.02, 0.02, 0.25, 0.02, 0.02, 0.01)  # sums to 0.60


def test_two_stages() -> None:
    """40% of 0.60 is 0.24: token 6 alone (0.25) holds it. K = 5, so 4 more of the other nine, at places 0, 2, 5, 8."""
    assert SpecVLM(ratio=0.5).keep(TEN).tolist() == [0, 2, 5, 6, 9]


def test_first_stage_grows_with_p() -> None:
    """60% is 0.36: tokens 6 and 2 (0.45). Three more of 0, 1, 3, 4, 5, 7, 8, 9 at places 0, 3, 7."""
    assert SpecVLM(ratio=0.5, p=0.6).keep(TEN).tolist() == [0, 2, 4, 6, 9]


def test_first_stage_is_capped_at_the_budget() -> None:
    assert SpecVLM(ratio=0.8, p=1.0).keep(TEN).tolist() == Attention(ratio=0.8).keep(TEN).tolist() == [2, 6]


def test_the_first_stage_keeps_the_best_token_at_least() -> None:
    """Token 6, and three more of the other nine, at places 0, 4, 8."""
    assert SpecVLM(ratio=0.6, p=0.0).keep(TEN).tolist() == [0, 4, 6, 9]


def test_one_token_is_the_best_one() -> None:
    assert SpecVLM(ratio=0.9).keep(TEN).tolist() == [6]


def test_fewest_holding() -> None:
    assert fewest_holding(torch.tensor([0.3, 0.4, 0.3]), 0.4) == 1, "met exactly, in spite of float32"
    assert fewest_holding(torch.tensor([0.3, 0.4, 0.3]), 0.41) == 2
    assert fewest_holding(torch.tensor([0.5, 0.5, 0.0]), 1.0) == 2
    assert fewest_holding(torch.zeros(3), 0.4) == 1
    assert fewest_holding(torch.ones(3), 0.0) == 1


@settings(max_examples=60)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(0, 10))
def test_fewest_holding_against_counting(weights: list[int], tenths: int) -> None:
    ranked, held, count = sorted(weights, reverse=True), 0, 0
    while 10 * held < tenths * sum(weights):
        held, count = held + ranked[count], count + 1
    assert fewest_holding(torch.tensor(weights, dtype=torch.float32), tenths / 10) == max(count, 1)


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(0, 10), st.integers(0, 99), st.integers(0, 1000))
def test_contains_its_first_stage(tokens: int, tenths: int, percent: int, seed: int) -> None:
    weights = torch.rand(tokens, generator=torch.Generator().manual_seed(seed))
    evidence = Evidence(grid=Grid(1, 1, tokens), values={"attention": weights})
    pruner = SpecVLM(ratio=percent / 100, p=tenths / 10)
    kept = set(pruner.keep(evidence).tolist())
    assert len(kept) == pruner.budget(evidence.grid)
    first = weights.sort(descending=True).indices[: min(len(kept), fewest_holding(weights, pruner.p))]
    assert set(first.tolist()) <= kept


@pytest.mark.parametrize("p", [-0.1, 1.1, "most"])
def test_refuses_a_share_out_of_range(p: Any) -> None:
    with pytest.raises(ValueError, match=r"pruner.p must be in \[0, 1\], got"):
        SpecVLM(ratio=0.5, p=p)
