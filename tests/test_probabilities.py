"""The distribution of tokens at any temperature: a very small one is the limit of the distribution, never NaN."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import TemperatureLogitsWarper

from vsd.models.tree import chain
from vsd.types import Draft, Evidence, Grid, Output, VerifierContext
from vsd.utils.probabilities import SamplingParams
from vsd.utils.random_source import SeededRandom
from vsd.verifiers import Greedy
from vsd.verifiers.sampling import Sampling

DTYPES = [torch.float64, torch.float32, torch.bfloat16]
SMALL = [1e-30, 1e-38, 1e-40, 1e-45, 1e-50, 1e-300, 5e-324]
LOGITS = [[3.0, -2.0, 3.5, 0.0], [-8.0, -9.0, -torch.inf, -8.5], [3e4, 1e4, 0.0, -3e4]]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("temperature", SMALL)
@pytest.mark.parametrize("settings", [{}, {"top_p": 0.9}, {"top_k": 2}, {"top_p": 0.5, "top_k": 3}], ids=str)
def test_a_temperature_near_zero_is_the_argmax(
    dtype: torch.dtype, temperature: float, settings: dict[str, Any]
) -> None:
    logits_MW = torch.tensor(LOGITS, dtype=dtype)
    probs_MW = SamplingParams(temperature=temperature, **settings).probs(logits_MW)
    assert probs_MW.isfinite().all()
    assert probs_MW.equal(SamplingParams().probs(logits_MW))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_equal_logits_share_the_probability_down_to_the_smallest_temperature(dtype: torch.dtype) -> None:
    logits_MW = torch.tensor([[2.0, 2.0, 1.0]], dtype=dtype)
    assert SamplingParams(temperature=1e-30).probs(logits_MW).tolist() == [[0.5, 0.5, 0.0]]
    assert SamplingParams(temperature=0.0).probs(logits_MW).tolist() == [[1.0, 0.0, 0.0]]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_an_ordinary_temperature_is_what_it_was(dtype: torch.dtype, temperature: float) -> None:
    logits_MW = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)).to(dtype)
    wide_MW = logits_MW if dtype == torch.float64 else logits_MW.float()
    warper: Any = TemperatureLogitsWarper(temperature)
    theirs_MW = warper(None, wide_MW).softmax(-1)
    torch.testing.assert_close(SamplingParams(temperature=temperature).probs(logits_MW), theirs_MW)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("temperature", SMALL)
def test_verification_at_a_small_temperature_is_greedy(dtype: torch.dtype, temperature: float) -> None:
    rng = torch.Generator().manual_seed(1)
    context = VerifierContext(evidence=Evidence(grid=Grid(1, 1, 1)), left=9)
    for _ in range(20):
        logits_MW = (torch.randperm(24, generator=rng).reshape(4, 6) * 0.5).to(dtype)  # without ties
        tokens_N = logits_MW[:3].argmax(-1)
        tokens_N[torch.rand(3, generator=rng) < 0.3] = 0
        draft = Draft(tokens_N=tokens_N, parents_N=torch.tensor(chain(3)))
        ours, theirs = (
            rule.verify(draft, Output(logits_MW=logits_MW), context, SeededRandom(0))
            for rule in (Sampling(temperature=temperature), Greedy())
        )
        assert (ours.path, ours.bonus) == (theirs.path, theirs.bonus)
