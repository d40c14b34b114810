"""Made-up acceptance: how fast would it be if this many tokens were accepted?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from vsd.utils.validation import require, require_share
from vsd.verifiers.relaxed import Line, Relaxed


@dataclass(frozen=True, kw_only=True)
class Synthetic(Relaxed):
    """Accepts tokens at random at given rates, whatever they are: for timing only, the generations mean nothing.

    `rate` holds for every place of a draft, or `rates` for the first places one by one and `rate` for those behind.
    """

    synthetic: ClassVar[bool] = True
    strict: ClassVar[Mapping[str, Any]] = {"rate": 0.0, "rates": ()}
    loose: ClassVar[Mapping[str, Any]] = {"rate": 0.9, "rates": ()}

    rate: float = 0.8
    rates: Sequence[float] = ()

    def __post_init__(self) -> None:
        require_share("verifier.rate", self.rate)
        require(
            "verifier.rates",
            "a list of numbers",
            self.rates,
            isinstance(self.rates, Sequence) and not isinstance(self.rates, str),
        )
        for rate in self.rates:
            require_share("verifier.rates", rate)

    def odds(self, place: int) -> float:
        return self.rates[place] if place < len(self.rates) else self.rate

    def stands(self, line: Line) -> tuple[bool, ...]:
        return line.spared
