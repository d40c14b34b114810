"""A chain of the draft model's tokens, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from vsd.drafters.base import Drafter, require_model
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.tree import chain
from vsd.types import Context, Draft
from vsd.utils.probabilities import SamplingParams, confidence
from vsd.utils.random_source import RandomSource
from vsd.utils.validation import require_share


@dataclass(frozen=True, kw_only=True)
class Chain(SamplingParams, Drafter):
    """Chain of gamma tokens, one draft step each (speculative decoding: arXiv 2211.17192, 2302.01318).

    Tokens are drawn from the draft's distribution at `temperature` with `top_p` and `top_k`, or are its most probable
    ones at temperature 0. With `confidence` the chain ends early, behind a token that the draft gave less probability.
    """

    confident: ClassVar[bool] = True

    confidence: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share("drafter.confidence", self.confidence)

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        model, state = require_model(model, state)
        ids_M = torch.tensor(context.tokens[state.generated :], device=model.device)
        tokens, probs, sure = list[torch.Tensor](), list[torch.Tensor](), list[torch.Tensor]()
        for _ in range(gamma):
            logits_1W = _read(ids_M, model, state)
            if self.temperature:
                probs.append(self.probs(logits_1W))
                ids_M = torch.tensor([random.pick(probs[-1][0])], device=model.device)
            else:
                ids_M = logits_1W.argmax(-1)  # stays on the device: nothing waits for it until the draft is verified
            tokens.append(ids_M)
            if context.with_confidence:
                sure.append(confidence(logits_1W, ids_M.to(logits_1W.device)))
            if self.confidence and float(logits_1W.float().softmax(-1)[0, ids_M]) < self.confidence:
                break
        return Draft(
            tokens_N=torch.cat(tokens),
            parents_N=torch.tensor(chain(len(tokens))),
            probs_NW=torch.cat(probs) if probs else None,
            confidence_N=torch.cat(sure) if sure else None,
        )


def _read(ids_M: torch.Tensor, model: VideoLM, state: State) -> torch.Tensor:
    """The logits behind these tokens, which are committed; with none yet, those behind the prompt."""
    count = ids_M.shape[0]
    if not count and state.prompt_1W is not None:
        return state.prompt_1W
    logits_1W = model.forward(ids_M, chain(count), state).logits_MW[-1:]
    state.commit(range(count))
    return logits_1W
