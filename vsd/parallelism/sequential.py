"""Draft, then verify, in turn: the schedule of speculative decoding as first published."""

from __future__ import annotations

from dataclasses import dataclass

from vsd.parallelism.base import InTurn, Session


@dataclass(frozen=True, kw_only=True)
class Sequential(InTurn):
    """The draft waits while the target verifies and the other way round (arXiv 2211.17192; SpecVLM, 2508.16201)."""

    def decode(self, session: Session) -> None:
        while not session.generation.finish:
            start = session.clock.now()
            draft = session.propose()
            drafted = session.clock.now()
            judged = session.verify(draft)
            verified = session.clock.now()
            session.add(
                draft,
                judged,
                proposed=len(draft.tokens_N),
                draft_s=drafted - start,
                verify_s=verified - drafted,
                wait_s=drafted - start,
                wall_s=verified - start,
            )
