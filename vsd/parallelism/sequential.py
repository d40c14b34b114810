"""Draft, then verify, in turn: the schedule of speculative decoding as first published."""

from __future__ import annotations

from dataclasses import dataclass

from vsd.draft import DraftSession
from vsd.models.tree import NO_DRAFT
from vsd.parallelism.base import Parallelism
from vsd.session import Session


@dataclass(frozen=True, kw_only=True)
class Sequential(Parallelism):
    """The draft waits while the target verifies and the other way round (arXiv 2211.17192; SpecVLM, 2508.16201)."""

    def decode(self, session: Session, draft: DraftSession | None) -> None:
        generation, clock = session.generation, session.clock
        while not generation.finish:
            start = clock.now()
            proposed, gamma = NO_DRAFT, min(session.gamma, generation.left - 1)
            if draft is not None and gamma > 0:
                proposed = draft.propose(tokens=generation.tokens, gamma=gamma, **session.take_news()).draft
            drafted = clock.now()
            judged = session.verify(proposed)
            verified = clock.now()
            session.add(
                proposed,
                judged,
                proposed=len(proposed.tokens_N),
                draft_s=drafted - start,
                verify_s=verified - drafted,
                wait_s=drafted - start,
                wall_s=verified - start,
            )
