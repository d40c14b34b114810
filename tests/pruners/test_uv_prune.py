"""UV-Prune: the two-layer form, the direction of the choice, the layer field."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from vsd.pruners.uv_prune import UVPrune
from vsd.types import Evidence, Grid, Hidden

from .random_evidence import random_evidence


def test_two_layers_equal_the_sum_over_all() -> None:
    """The paper's double sum, written out over five layers, against the score from the first and the last."""
    layers, grid = 5, (2, 3, 3)
    needs = frozenset(f"hidden:{layer}" for layer in range(layers + 1))
    evidence = random_evidence(grid, needs=needs, dtype=torch.float64)
    growth = torch.zeros(evidence.tokens, dtype=torch.float64)
    for layer in range(1, layers + 1):
        for sign, states in ((1, evidence[f"hidden:{layer}"]), (-1, evidence[f"hidden:{layer - 1}"])):
            growth += sign * torch.cosine_similarity(states.visual_VD[:, None], states.text_SD[None], dim=-1).sum(1)
    score = UVPrune(ratio=0.5, layer=str(layers)).score(evidence)
    torch.testing.assert_close(score, growth, rtol=1e-12, atol=1e-12)


def test_keeps_what_grows() -> None:
    """One text token along x. Token 0 stays on it (growth 0), 1 turns to it (+1), 2 turns away (-1), 3 nears it."""
    x, y, between = [1.0, 0.0], [0.0, 2.0], [3.0, 3.0]
    text = torch.tensor([[5.0, 0.0]])
    evidence = Evidence(
        grid=Grid(1, 1, 4),
        values={
            "hidden:0": Hidden(visual_VD=torch.tensor([x, y, x, y]), text_SD=text),
            "hidden:0.5": Hidden(visual_VD=torch.tensor([x, x, y, between]), text_SD=text),
        },
    )
    pruner = UVPrune(ratio=0.5)
    torch.testing.assert_close(pruner.score(evidence), torch.tensor([0.0, 1.0, -1.0, 0.5**0.5]))
    assert pruner.keep(evidence).tolist() == [1, 3]
    without = UVPrune(ratio=0.5, growth=False)
    assert without.needs == {"hidden:0.5"}
    torch.testing.assert_close(without.score(evidence), torch.tensor([1.0, 1.0, 0.0, 0.5**0.5]))
    assert without.keep(evidence).tolist() == [0, 1], "what stays similar is kept as well as what has become so"


def test_growth_is_true_or_false() -> None:
    wrong: Any = "yes"
    with pytest.raises(ValueError, match=r"pruner\.growth: must be true or false, got 'yes'"):
        UVPrune(ratio=0.5, growth=wrong)


def test_half_precision_is_summed_in_float32() -> None:
    evidence = random_evidence((2, 8, 8), dtype=torch.bfloat16, suffix=40)
    assert UVPrune(ratio=0.5).score(evidence).dtype == torch.float32


def test_layers_may_be_numbers() -> None:
    layers: list[Any] = [0.25, 12, 1.0]
    for layer in layers:
        assert UVPrune(ratio=0.5, layer=layer).needs == {"hidden:0", f"hidden:{layer}"}


@pytest.mark.parametrize("layer", ["0", "0.0", "middle", "-1", "1.5", "", None, "1e-3"])
def test_refuses_layers_that_are_none(layer: Any) -> None:
    with pytest.raises(ValueError, match=r"pruner\.layer must be a layer number above 0"):
        UVPrune(ratio=0.5, layer=layer)


def test_refuses_an_empty_suffix() -> None:
    with pytest.raises(ValueError, match="must have text behind the video, got none"):
        UVPrune(ratio=0.5).keep(random_evidence(suffix=0))
