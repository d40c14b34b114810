"""A chain of the draft model's most probable tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vsd.drafters.base import Drafter
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.tree import chain
from vsd.types import Draft


@dataclass(frozen=True, kw_only=True)
class Chain(Drafter):
    """Greedy chain of gamma tokens, one draft step each (speculative decoding: arXiv 2211.17192, 2302.01318)."""

    def propose(
        self,
        context: Sequence[int],
        model: VideoLM | None,
        state: State | None,
        gamma: int,
        rng: torch.Generator,
    ) -> Draft:
        if model is None or state is None:
            raise ValueError("draft: a chain is drafted by a model, got none")
        ids_M = torch.tensor(context[state.generated :], device=model.device)
        tokens = []
        for _ in range(gamma):
            count = ids_M.shape[0]
            logits_MW = model.forward(ids_M, chain(count), state).logits_MW
            state.commit(range(count))
            ids_M = logits_MW[-1:].argmax(-1)  # stays on the device: nothing waits for it until the draft is verified
            tokens.append(ids_M)
        return Draft(tokens_N=torch.cat(tokens), parents_N=torch.tensor(chain(gamma)))
