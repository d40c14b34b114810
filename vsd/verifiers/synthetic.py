"""Made-up acceptance: how fast would it be if this many tokens were accepted?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vsd.chance import Chance
from vsd.fields import require, require_share
from vsd.verifiers.relaxed import Line, Relaxed


@dataclass(frozen=True, kw_only=True)
class Synthetic(Relaxed):
    """Accepts tokens by chance at given rates, whatever they are: for timing only, the answers mean nothing.

    `rate` holds for every place of a draft, or `rates` for the first places one by one and `rate` for those behind.
    """

    synthetic: ClassVar[bool] = True

    rate: float = 0.8
    rates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require_share("verifier.rate", self.rate)
        require("verifier.rates", "a list of numbers", self.rates, not isinstance(self.rates, str))
        for rate in self.rates:
            require_share("verifier.rates", rate)

    def stands(self, line: Line, chance: Chance) -> tuple[bool, ...]:
        rates = [*self.rates, *[self.rate] * len(line.tokens)][: len(line.tokens)]
        return tuple(chance.happens(rate) for rate in rates)
