"""No drafting where the answer depends on the video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vsd.chance import Chance
from vsd.drafters.base import Drafter
from vsd.fields import require, require_number
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.types import Context, Draft


@dataclass(frozen=True, kw_only=True)
class ViSkip(Drafter):
    """Asks another drafter, but for one token only behind a token that depends on the video.

    `above` is the visual relevance (LVSpec's, arXiv 2604.05650) of the last committed token from which on a draft is
    cut to one token. The answer stays lossless; only the cost of tokens that would be refused is spared.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance"})

    inner: Drafter
    above: float = 0.5

    def __post_init__(self) -> None:
        require("drafter.inner", "a drafter", self.inner, isinstance(self.inner, Drafter))
        require_number("drafter.above", self.above)

    @property
    def needs_model(self) -> bool:  # type: ignore[override]
        return self.inner.needs_model

    def nodes(self, gamma: int) -> int:
        return self.inner.nodes(gamma)

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, chance: Chance
    ) -> Draft:
        relevant = bool(context.rounds) and context.rounds[-1].relevance[-1] >= self.above
        return self.inner.propose(context, model, state, 1 if relevant else gamma, chance)
