"""From logits to the probabilities that a token is drawn with: temperature, top-k, top-p by transformers' warpers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from vsd.utils.validation import is_number, require, require_number, require_whole


def confidence(logits_NW: Tensor, tokens_N: Tensor) -> Tensor:
    """confidence_N: the probability of each token at temperature 1, in at least float32."""
    wide_NW = logits_NW if logits_NW.dtype == torch.float64 else logits_NW.float()
    return wide_NW.softmax(-1).gather(-1, tokens_N[:, None])[:, 0]


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """Mixed into drafters and verifiers that draw tokens: their fields, and `probs`.

    `temperature` 0 is the argmax, and a very small one comes to the same; `top_k` 0 and `top_p` 1 leave every token in.
    The warpers are applied in the order in which transformers' `generate` applies them. Raises ValueError from the
    constructor for a value out of range.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0

    def __post_init__(self) -> None:
        require_number("temperature", self.temperature, least=0)
        require("top_p", "in (0, 1]", self.top_p, is_number(self.top_p) and 0 < self.top_p <= 1)
        require_whole("top_k", self.top_k, least=0)

    def probs(self, logits_MW: Tensor) -> Tensor:
        """probs_MW, in at least float32; one-hot at the argmax for temperature 0, and for one too small for the dtype.

        The largest logit is taken off first, which leaves the probabilities as they are: so a small temperature can
        only make the others -inf, and the likeliest tokens share everything, never NaN.
        """
        wide_MW = logits_MW if logits_MW.dtype == torch.float64 else logits_MW.float()
        if self.temperature < torch.finfo(wide_MW.dtype).tiny:
            return torch.nn.functional.one_hot(wide_MW.argmax(-1), wide_MW.shape[-1]).to(wide_MW.dtype)
        shifted_MW = wide_MW - wide_MW.amax(-1, keepdim=True)
        return self._warpers()(None, shifted_MW).softmax(-1)  # type: ignore[arg-type]  # none reads the ids

    def _warpers(self) -> LogitsProcessorList:
        warpers: list[Any] = [TemperatureLogitsWarper(float(self.temperature))]
        if self.top_k:
            warpers.append(TopKLogitsWarper(self.top_k))
        if self.top_p < 1:
            warpers.append(TopPLogitsWarper(self.top_p))
        return LogitsProcessorList(warpers)
