"""Random, uniform, frame and window: what they keep of small videos."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from vsd.pruners.frame import Frame
from vsd.pruners.none import NoPruner
from vsd.pruners.random import Random
from vsd.pruners.uniform import Uniform
from vsd.pruners.window import Window
from vsd.types import Evidence, Grid


def video(t: int, h: int, w: int, seed: int = 0) -> Evidence:
    return Evidence(grid=Grid(t, h, w), seed=seed)


def test_none_ignores_its_ratio() -> None:
    assert len(NoPruner(ratio=0.9).keep(video(2, 3, 4))) == 24


def test_random_follows_the_seed_and_reaches_every_token() -> None:
    pruner = Random(ratio=0.5)
    draws = [tuple(pruner.keep(video(2, 2, 2, seed)).tolist()) for seed in range(100)]
    assert len(set(draws)) > 40  # of the 70 possible
    often = torch.tensor([sum(token in draw for draw in draws) for token in range(8)])
    assert int(often.min()) > 25


def test_uniform_takes_the_middles_of_equal_stretches() -> None:
    assert Uniform(ratio=0.75).keep(video(1, 4, 4)).tolist() == [2, 6, 10, 14]
    assert Uniform(ratio=0.97).keep(video(1, 3, 3)).tolist() == [4]


def test_uniform_with_both_ends_is_a_truncated_linspace() -> None:
    assert Uniform(ratio=0.75, ends="both").keep(video(1, 4, 4)).tolist() == [0, 5, 10, 15]
    assert Uniform(ratio=0.5, ends="both").keep(video(1, 1, 10)).tolist() == [0, 2, 4, 6, 9]
    assert Uniform(ratio=0.97, ends="both").keep(video(1, 3, 3)).tolist() == [0]
    for tokens in range(2, 60):
        kept = Uniform(ratio=0.6, ends="both").keep(video(1, 1, tokens))
        ours, theirs = kept, torch.linspace(0, tokens - 1, len(kept), dtype=torch.float64)
        assert (ours - theirs).abs().max() < 1  # truncated; the sum in floating point may fall below a whole number


def test_uniform_refuses_other_ends() -> None:
    ends: Any = "first"
    with pytest.raises(ValueError, match=r"^pruner.ends: must be one of middle, both, got 'first'$"):
        Uniform(ratio=0.5, ends=ends)


def test_frame_keeps_whole_frames() -> None:
    assert Frame(ratio=0.5).keep(video(4, 1, 2)).tolist() == [2, 3, 6, 7]


def test_frame_thins_the_last_frame_to_the_budget() -> None:
    """V = 24, K = 6: one frame of 4 and 2 tokens of a second; the frames are 1 and 4 of six."""
    assert Frame(ratio=0.75).keep(video(6, 2, 2)).tolist() == [4, 5, 6, 7, 17, 19]


@pytest.mark.parametrize(("at", "first"), [(0.0, 0), (0.5, 4), (1.0, 8)])
def test_window_is_one_stretch(at: float, first: int) -> None:
    assert Window(ratio=0.5, at=at).keep(video(4, 2, 2)).tolist() == list(range(first, first + 8))


@pytest.mark.parametrize("at", [-0.1, 1.1, "end"])
def test_window_refuses_a_place_outside_the_video(at: Any) -> None:
    with pytest.raises(ValueError, match=r"pruner.at must be in \[0, 1\], got"):
        Window(ratio=0.5, at=at)
