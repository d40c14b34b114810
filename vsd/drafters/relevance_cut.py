"""Little drafting where the generation depends on the video."""

from __future__ import annotations

from dataclasses import dataclass

from vsd.drafters.wrapper import DrafterWrapper
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.types import Context, Draft
from vsd.utils.random_source import RandomSource
from vsd.utils.validation import require_share


@dataclass(frozen=True, kw_only=True)
class RelevanceCut(DrafterWrapper):
    """Asks another drafter, but for one token only behind a token that depends on the video.

    Visual relevance is LVSpec's (arXiv 2604.05650). A draft is cut if the last committed token is among the `share` of
    this generation's tokens so far that depend most on the video: what follows such a token is more often refused, so
    that less is drafted for nothing. The generation is as exact as ever.

    Differs from the paper in: that has only the score; drafting by it is not taken from a paper.
    """

    share: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share("drafter.share", self.share)

    @property
    def needs(self) -> frozenset[str]:
        return self.inner.needs | {"relevance"}

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        seen = [value for round in context.rounds for value in round.evidence.get("relevance", ())]
        above = sum(value > seen[-1] for value in seen)
        relevant = bool(seen) and above < self.share * len(seen)
        return self.inner.propose(context, model, state, 1 if relevant else gamma, random)
