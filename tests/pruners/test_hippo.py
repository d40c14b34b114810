"""HIPPO's three scores, its normalisation and its budgets, worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vsd.pruners.hippo import Hippo, Neighbour, Normalise, Per, per_frame, spatial, temporal, top_per_frame
from vsd.pruners.similarity import unit
from vsd.types import Evidence, Grid

from .random_evidence import random_evidence

X, Y = [1.0, 0.0], [0.0, 1.0]
D = [math.sqrt(0.5), math.sqrt(0.5)]  # half way between: cosine 0.7071 with both
# Three frames of 1 x 2 cells.
CLIP = torch.tensor([X, X, X, Y, D, Y])
CLIP_GRID = Grid(3, 1, 2)
HALF = 1 - math.sqrt(0.5)


@pytest.mark.parametrize(
    ("neighbour", "expected"),
    [
        ("previous", [0, 1, 0, 1, HALF, 0]),  # the first frame has none and looks at the second
        ("next", [0, 1, HALF, 0, HALF, 0]),  # the last frame has none and looks at the one before
        ("both", [0, 1, HALF / 2, 0.5, HALF, 0]),
    ],
)
def test_temporal(neighbour: Neighbour, expected: list[float]) -> None:
    torch.testing.assert_close(temporal(CLIP, CLIP_GRID, neighbour), torch.tensor(expected))


def test_temporal_of_one_frame_is_zero() -> None:
    assert temporal(CLIP, Grid(1, 2, 3), "previous").tolist() == [0] * 6


def test_spatial() -> None:
    """One frame of 2 x 3 cells, X X Y over X X X, crop 3.

    Corner 0 sees three cells X, X, X: cosines 1, 1, 1, variance 0. Cell 1 sees X, Y, X, X, X: 1, 0, 1, 1, 1, variance
    4/5 * 1/5. Corner 2 (Y) sees X, X, X: 0, 0, 0, variance 0. Cell 4 as cell 1; corner 5 sees X, Y, X: variance 2/9.
    """
    cells = torch.tensor([X, X, Y, X, X, X])
    torch.testing.assert_close(spatial(cells, Grid(1, 2, 3), 3), torch.tensor([0, 0.16, 0, 0, 0.16, 2 / 9]))


def test_spatial_of_one_cell_is_zero() -> None:
    assert spatial(CLIP, Grid(6, 1, 1), 3).tolist() == [0] * 6


@pytest.mark.parametrize(("grid", "crop"), [((2, 4, 5), 3), ((2, 4, 5), 5), ((1, 3, 2), 9), ((3, 1, 4), 3)])
def test_spatial_against_loops(grid: tuple[int, int, int], crop: int) -> None:
    evidence = random_evidence(grid, needs=frozenset({"features"}), dtype=torch.float64)
    cells, radius = unit(evidence["features"]).view(*grid, -1), crop // 2
    expected = []
    for t, y, x in torch.cartesian_prod(*[torch.arange(n) for n in grid]).tolist():
        crop_cells = [
            cells[t, b, a]
            for b in range(max(0, y - radius), min(grid[1], y + radius + 1))
            for a in range(max(0, x - radius), min(grid[2], x + radius + 1))
            if (b, a) != (y, x)
        ]
        expected.append(torch.stack([cells[t, y, x] @ cell for cell in crop_cells]).var(correction=0))
    torch.testing.assert_close(spatial(unit(evidence["features"]), Grid(*grid), crop), torch.stack(expected))


def test_per_frame() -> None:
    grid, scores = Grid(2, 1, 3), torch.tensor([1.0, 2.0, 5.0, 7.0, 7.0, 7.0])
    torch.testing.assert_close(per_frame(scores, grid, "minmax"), torch.tensor([0, 0.25, 1, 0, 0, 0]))
    deviation = math.sqrt(26 / 9)  # of 1, 2, 5, whose mean is 8/3
    z = [(1 - 8 / 3) / deviation, (2 - 8 / 3) / deviation, (5 - 8 / 3) / deviation, 0, 0, 0]
    torch.testing.assert_close(per_frame(scores, grid, "z"), torch.tensor(z))


@settings(max_examples=40)
@given(st.integers(0, 1000), st.sampled_from(["minmax", "z"]))
def test_per_frame_removes_a_bias_for_the_frame(seed: int, how: Normalise) -> None:
    """A score that favours some frames by any offset and any positive factor is normalised to the same."""
    generator, grid = torch.Generator().manual_seed(seed), Grid(4, 2, 3)
    scores = torch.rand(4, 6, generator=generator, dtype=torch.float64)
    factor = torch.rand(4, 1, generator=generator, dtype=torch.float64) + 0.1
    offset = torch.rand(4, 1, generator=generator, dtype=torch.float64) * 10
    biased = scores * factor + offset
    expected = per_frame(scores.flatten(), grid, how)
    torch.testing.assert_close(per_frame(biased.flatten(), grid, how), expected, rtol=1e-9, atol=1e-9)


def test_bias_of_the_last_frame_does_not_reach_the_choice() -> None:
    """Attention ten times as strong in the last frame takes every place by itself, and none more under HIPPO."""
    evidence = random_evidence((4, 2, 2), needs=frozenset({"video_attention"}))
    evidence["video_attention"][:] = torch.tensor([0.1, 0.2, 0.4, 0.3]).repeat(4)
    evidence["video_attention"][12:] *= 10
    pruner = Hippo(ratio=0.75, weight_temporal=0, weight_spatial=0)
    assert pruner.keep(evidence).tolist() == [2, 6, 10, 14]
    of_the_video = replace(pruner, normalise_per="global")
    assert of_the_video.keep(evidence).tolist() == [12, 13, 14, 15], "without a scale for each frame it takes them all"
    torch.testing.assert_close(of_the_video.score(evidence)[-4:], torch.tensor([9.0, 19, 39, 29]) / 39)


def test_fusion() -> None:
    """g prefers the second cell of each frame, t and s decide by their weights; one frame of the clip is enough."""
    asked = torch.tensor([0.1, 0.2, 0.2, 0.1, 0.3, 0.1])
    evidence = Evidence(grid=CLIP_GRID, values={"features": 3 * CLIP, "video_attention": asked})
    pruner = Hippo(ratio=0.5, weight_global=1, weight_temporal=2, weight_spatial=5)
    # g: 0 1 | 1 0 | 1 0.  t (previous): 0 1 | 0 1 | 1 0.  s: one neighbour each, so no variance.
    torch.testing.assert_close(pruner.score(evidence), torch.tensor([0.0, 3, 1, 2, 3, 0]))
    assert pruner.keep(evidence).tolist() == [1, 3, 4]


def test_noise_of_a_still_video_is_no_score() -> None:
    features = torch.randn(1, 6, 64, generator=torch.Generator().manual_seed(0)).repeat(3, 1, 1).flatten(0, 1)
    evidence = Evidence(grid=Grid(3, 2, 3), values={"features": features})
    pruner = Hippo(ratio=0.5, weight_global=0, weight_spatial=0)
    assert pruner.score(evidence).tolist() == [0] * 18


def test_budget_per_frame() -> None:
    scores = torch.tensor([9.0, 8, 7, 1, 2, 3, 4, 6, 5])
    grid = Grid(3, 1, 3)
    assert top_per_frame(scores, grid, 3).tolist() == [0, 5, 7]
    assert top_per_frame(scores, grid, 4).tolist() == [0, 1, 5, 7], "the runner-up of frame 0 (8) beats 2 and 5"
    assert top_per_frame(scores, grid, 2).tolist() == [0, 7]


@settings(max_examples=60)
@given(st.tuples(*[st.integers(1, 5)] * 3), st.integers(0, 99), st.sampled_from(["frame", "global"]))
def test_budgets_hold_for_any_grid(grid: tuple[int, int, int], percent: int, budget_per: Per) -> None:
    t, h, w = grid
    pruner = Hippo(ratio=percent / 100, budget_per=budget_per)
    evidence = random_evidence(grid, needs=pruner.needs)
    kept = pruner.keep(evidence)
    assert len(set(kept.tolist())) == pruner.budget(evidence.grid)
    if budget_per == "frame":
        per_frame_counts = torch.bincount(kept // (h * w), minlength=t)
        assert int(per_frame_counts.max() - per_frame_counts.min()) <= 1


def test_asks_only_for_what_it_weighs() -> None:
    assert Hippo(ratio=0.5).needs == {"features", "video_attention"}
    assert Hippo(ratio=0.5, weight_global=0).needs == {"features"}
    assert Hippo(ratio=0.5, weight_temporal=0, weight_spatial=0).needs == {"video_attention"}
    number: Any = 0.5
    assert Hippo(ratio=0.5, features=number).needs == {"hidden:0.5", "video_attention"}
    check = Hippo(ratio=0.5, features="2", weight_spatial=0)
    assert len(check.keep(random_evidence(needs=check.needs))) == 32


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("features", "pixels", "projector or a layer"),
        ("neighbour", "first", "one of previous, next, both"),
        ("normalise", "softmax", "one of minmax, z"),
        ("normalise_per", "video", "one of global, frame"),
        ("budget_per", "clip", "one of global, frame"),
        ("crop", 4, "odd whole number"),
        ("crop", 1, "odd whole number"),
        ("crop", 3.0, "odd whole number"),
        ("weight_global", -1.0, "[0, inf)"),
        ("weight_spatial", float("nan"), "[0, inf)"),
        ("weight_temporal", "high", "[0, inf)"),
    ],
)
def test_refuses_bad_fields(field: str, value: Any, rule: str) -> None:
    with pytest.raises(ValueError) as refusal:
        Hippo(ratio=0.5, **{field: value})
    assert str(refusal.value).startswith(f"pruner.{field} must be ")
    assert rule in str(refusal.value)
    assert str(refusal.value).endswith(f"got {value!r}")


def test_refuses_no_weight_at_all() -> None:
    with pytest.raises(ValueError, match="must not all be 0"):
        Hippo(ratio=0.5, weight_global=0, weight_temporal=0, weight_spatial=0)
