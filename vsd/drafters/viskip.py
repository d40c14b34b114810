"""No drafting where the answer depends on the video."""

from __future__ import annotations

from dataclasses import dataclass

from vsd.chance import Chance
from vsd.drafters.around import Around
from vsd.fields import require_number
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.types import Context, Draft


@dataclass(frozen=True, kw_only=True)
class ViSkip(Around):
    """Asks another drafter, but for one token only behind a token that depends on the video.

    `above` is the visual relevance (LVSpec's, arXiv 2604.05650) of the last committed token from which on a draft is
    cut to one token. The answer stays lossless; only the cost of tokens that would be refused is spared.
    """

    above: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("drafter.above", self.above)

    @property
    def needs(self) -> frozenset[str]:
        return self.inner.needs | {"relevance"}

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, chance: Chance
    ) -> Draft:
        relevant = bool(context.rounds) and context.rounds[-1].relevance[-1] >= self.above
        return self.inner.propose(context, model, state, 1 if relevant else gamma, chance)
