"""A drafter that wraps another one and says how much the other drafts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vsd.drafters.base import Drafter
from vsd.types import Round
from vsd.utils.validation import require


@dataclass(frozen=True, kw_only=True)
class DrafterWrapper(Drafter):
    """Needs what the drafter `inner` needs; a subclass writes `propose`."""

    inner: Drafter

    def __post_init__(self) -> None:
        require("drafter.inner", "a drafter", self.inner, isinstance(self.inner, Drafter))

    @property
    def needs_model(self) -> bool:
        return self.inner.needs_model

    @property
    def chains(self) -> bool:
        return self.inner.chains

    @property
    def timed(self) -> bool:
        return self.inner.timed

    @property
    def confident(self) -> bool:
        return self.inner.confident

    @property
    def needs(self) -> frozenset[str]:
        return self.inner.needs

    def memory(self) -> Any:
        return self.inner.memory()

    def learn(self, rounds: Sequence[Round], memory: Any) -> None:
        self.inner.learn(rounds, memory)

    def depth(self, gamma: int) -> int:
        return self.inner.depth(gamma)

    def nodes(self, gamma: int) -> int:
        return self.inner.nodes(gamma)
