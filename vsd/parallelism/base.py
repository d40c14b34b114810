"""What a schedule is: it decides when the target and the draft read their prompts, when the draft drafts and when the
target verifies. Where the draft works is the executor's to say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from vsd.draft import DraftSession
from vsd.drafters.base import Drafter
from vsd.evidence import in_decoding
from vsd.executors import Executor, Inline
from vsd.models.tree import NO_DRAFT
from vsd.session import Session
from vsd.types import Round
from vsd.verifiers.base import Verifier


class Parallelism(ABC):
    """A schedule. Subclasses are frozen dataclasses: their fields are their config."""

    drafts: ClassVar[bool] = True
    """Whether the schedule uses a drafter at all."""
    chains: ClassVar[bool] = False
    """Whether drafts must be chains."""
    overlaps: ClassVar[bool] = False
    """Whether both sides work at the same time, where the executor can."""

    @property
    def timed(self) -> bool:
        """Whether how much is drafted follows the clock."""
        return False

    @classmethod
    def default_executor(cls) -> Executor:
        """Where drafts are made if nobody says: as the schedule's YAML has it."""
        return Inline()

    def window(self, gamma: int, recent: Iterable[Round]) -> int:
        """How many tokens to draft next, at most `gamma`, at least 1; `recent` are the last rounds of the run."""
        return gamma

    def prefill(self, session: Session, draft: DraftSession | None) -> None:
        """Read both prompts, one after the other, and commit the first token."""
        with session.clock.span("prefill"):
            logits_W = session.prefill()
        session.begin(session.first(logits_W, NO_DRAFT))
        session.clock.mark("first_token")
        if draft is not None:
            draft.ready(session.evidence)

    @abstractmethod
    def decode(self, session: Session, draft: DraftSession | None) -> None:
        """Write `session.generation` to its end."""


def check_drafter(drafter: Drafter, parallelism: Parallelism, verifier: Verifier) -> None:
    """Raise ValueError for a drafter whose drafts the schedule or the rule cannot use (trees for a schedule of chains,
    drafts without confidence for a rule that looks at it), and for one that needs evidence which later passes do not
    have."""
    name = type(drafter).__name__
    if parallelism.chains and not drafter.chains:
        raise ValueError(f"drafter: {type(parallelism).__name__} needs chains, got {name}")
    if verifier.needs_confidence and not drafter.confident:
        raise ValueError(f"drafter: {type(verifier).__name__} needs drafts that say their confidence, got {name}")
    for need in sorted(drafter.needs):
        if not in_decoding(need):
            raise ValueError(f"drafter: {name} must need evidence that later passes have too, got {need!r}")
