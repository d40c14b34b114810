"""The baseline: the target alone, one token per forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vsd.draft import DraftSession
from vsd.models.tree import NO_DRAFT
from vsd.parallelism.base import Parallelism
from vsd.session import Session


@dataclass(frozen=True, kw_only=True)
class Autoregressive(Parallelism):
    """Plain decoding on the same engine, cache and clock as everything that is measured against it."""

    drafts: ClassVar[bool] = False

    def decode(self, session: Session, draft: DraftSession | None) -> None:
        while not session.generation.finish:
            start = session.clock.now()
            judged = session.verify(NO_DRAFT)
            seconds = session.clock.now() - start
            session.add(NO_DRAFT, judged, verify_s=seconds, wall_s=seconds)
