"""Drafts one token by a linear head on the target's own states."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from vsd.drafters.base import Drafter
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.types import Context, Draft
from vsd.utils.random_source import RandomSource
from vsd.utils.validation import require


@dataclass(frozen=True, kw_only=True)
class LinearHead(Drafter):
    """One token, from the last verified one and the state that predicted it; nothing where a token is not verified."""

    needs_model = False

    file: str

    def __post_init__(self) -> None:
        require("drafter.file", "the path of a file", self.file, isinstance(self.file, str))

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"hidden:1.0"})

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        states_nD = context.evidence.get("hidden:1.0")
        if states_nD is None or len(states_nD) < len(context.tokens):
            return Draft(tokens_N=torch.empty(0, dtype=torch.long), parents_N=torch.empty(0, dtype=torch.long))
        weights = head(self.file)
        states_D = states_nD[-1].to(weights)
        known_W = torch.zeros(len(weights) - len(states_D), dtype=weights.dtype)
        known_W[context.tokens[-1]] = 1
        best = (torch.cat((states_D, known_W)) @ weights).argmax()
        return Draft(tokens_N=best[None], parents_N=torch.tensor([-1]))


@cache
def head(file: str) -> Tensor:
    head_DW: Tensor = torch.load(file)
    return head_DW
