"""What a drafter is: it proposes tokens, as a tree, for the target to verify."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch

from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.types import Draft


class Drafter(ABC):
    """Proposes a draft from the committed tokens. Subclasses are frozen dataclasses: their fields are their config."""

    needs_model: ClassVar[bool] = True
    """Whether a draft model is asked; if not, `model` and `state` are None."""

    @abstractmethod
    def propose(
        self,
        context: Sequence[int],
        model: VideoLM | None,
        state: State | None,
        gamma: int,
        rng: torch.Generator,
    ) -> Draft:
        """A draft of depth at most `gamma` that continues `context`, all tokens generated and committed so far.

        `state` holds the draft's prompt and the first `state.generated` tokens of `context`; at least the last one is
        still to be read. The drafter may commit context and nodes 0, 1, 2, ... of a chain; nodes of a tree it leaves
        uncommitted. The schedule rolls the state back to what the target accepted.
        """

    def nodes(self, gamma: int) -> int:
        """The largest number of nodes a draft of depth `gamma` can have."""
        return gamma
