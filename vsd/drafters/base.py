"""What a drafter is: it proposes tokens, as a tree, for the target to verify."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.types import Context, Draft, Round
from vsd.utils.random_source import RandomSource


class Drafter(ABC):
    """Proposes a draft from the committed tokens. Subclasses are frozen dataclasses: their fields are their config.

    What is a property here is a ClassVar in a subclass where it is fixed, a property where it depends on fields.
    """

    @property
    def needs_model(self) -> bool:
        """Whether a draft model is asked; if not, `model` and `state` are None."""
        return True

    @property
    def chains(self) -> bool:
        """Whether its drafts are chains."""
        return True

    @property
    def timed(self) -> bool:
        """Whether what it drafts follows the clock."""
        return False

    @property
    def confident(self) -> bool:
        """Whether its drafts say how sure it is of them (`Draft.confidence_N`), if the context asks for it."""
        return False

    @property
    def needs(self) -> frozenset[str]:
        """What the context must hold of the target's passes, by name (see `vsd.evidence`): of the kinds that have rows
        of a pass."""
        return frozenset()

    @abstractmethod
    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        """A draft of depth at most `gamma` that continues `context.tokens`.

        `state` holds the draft's prompt and the first `state.generated` tokens of the context; at least the last one is
        still to be read. If there is none yet, `state.prompt_1W` are the logits behind the prompt. The drafter may
        commit context and nodes 0, 1, 2, ... of a chain; nodes of a tree it leaves uncommitted. The schedule rolls the
        state back to what the target accepted. A draft may have no nodes.
        """

    def memory(self) -> Any:
        """What it will remember of a run, still empty; None if it remembers nothing. Whoever drafts keeps it for the
        run, and hands it back in every context and to `learn`: the drafter itself is config alone."""
        return None

    def learn(self, rounds: Sequence[Round], memory: Any) -> None:  # noqa: B027 - most learn nothing
        """Take in rounds that ended: each of a run is told once, before the next draft or at the end of its
        generation."""

    def depth(self, gamma: int) -> int:
        """The largest number of tokens in a row that a draft can have."""
        return gamma

    def nodes(self, gamma: int) -> int:
        """The largest number of nodes a draft of depth `gamma` can have, or of nodes the draft model reads for it."""
        return gamma


def require_model(model: VideoLM | None, state: State | None) -> tuple[VideoLM, State]:
    """The draft model and its state; ValueError if there is none."""
    if model is None or state is None:
        raise ValueError("draft: this drafter asks a model, got none")
    return model, state
