"""Which drafted tokens are right: by a rate, or as in a recorded run.

A token of a generation is tested at most once, under any schedule: it stands, or the target's own takes its place. So
one number per place of the generation decides, drawn beforehand, and all schedules and gammas meet the same draws.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vsd.types import Trace
from vsd.utils.validation import require, require_share


@dataclass(frozen=True, kw_only=True)
class Script:
    """One generation before it is decoded.

    `visual` and `text` tokens of its prompt; `limit` tokens at most; after `end` tokens, if that is set, it ends with
    the end-of-sequence token. `draws` in [0, 1) belong to the places of the generation, `odds` to those of a draft.
    """

    visual: int
    text: int
    limit: int
    draws: tuple[float, ...]
    odds: tuple[float, ...]
    end: int | None = None

    def right(self, place: int, depth: int) -> bool:
        """Whether the draft's token for this place of the generation, at this depth of its draft, is the target's
        own."""
        return place < len(self.draws) and self.draws[place] < self.odds[min(depth, len(self.odds) - 1)]


class Acceptance(ABC):
    """How scripts are drawn; the same seed and number give the same one."""

    @property
    def scripts(self) -> int | None:
        """How many different ones there are; None for as many as are wanted."""
        return None

    @abstractmethod
    def script(self, number: int, *, seed: int, visual: int, text: int, tokens: int) -> Script:
        """The script of one generation: of so many tokens, where that is not known from a recording."""


@dataclass(frozen=True)
class ByPosition(Acceptance):
    """Independent draws: `rates` are those of the first, second, ... token of a draft, given that it is tested
    (`accept/position_k`); the last one holds for all behind. Of a tree they are those of its levels: some child of
    the last accepted node is right."""

    rates: Sequence[float]

    def __post_init__(self) -> None:
        require("rate", "at least one number", self.rates, len(self.rates) > 0)
        for rate in self.rates:
            require_share("rate", rate)

    def script(self, number: int, *, seed: int, visual: int, text: int, tokens: int) -> Script:
        draws = tuple(_draws(seed, number, tokens))
        return Script(visual=visual, text=text, limit=tokens, draws=draws, odds=tuple(self.rates))


def rate(alpha: float) -> ByPosition:
    """Independent draws at one rate: `accept/rate`."""
    return ByPosition((alpha,))


@dataclass(frozen=True)
class Replay(Acceptance):
    """The very generations of a recorded run of chains: which of its tokens the draft had right.

    Tokens that were never tested, the target's own behind a fully accepted draft, are drawn at the rate of the others.
    Raises ValueError for traces without a tested token, and for trees.
    """

    traces: Sequence[Trace]

    def __post_init__(self) -> None:
        chains = all(round_.nodes == round_.drafted for trace in self.traces for round_ in trace.rounds)
        require("traces", "rounds of chains", "trees", chains)
        tested = any(known is not None for trace in self.traces for known in right(trace))
        require("traces", "rounds that tested drafts", [len(trace.rounds) for trace in self.traces], tested)

    @property
    def scripts(self) -> int:
        return len(self.traces)

    def script(self, number: int, *, seed: int, visual: int, text: int, tokens: int) -> Script:
        trace = self.traces[number % len(self.traces)]
        drawn = _draws(seed, number, len(trace.tokens))
        known = right(trace)
        draws = tuple(draw if hit is None else 1.0 - hit for draw, hit in zip(drawn, known, strict=True))
        return Script(
            visual=trace.visual,
            text=trace.prompt - trace.visual,
            limit=self._limit,
            draws=draws,
            odds=(self._rate,),
            end=len(trace.tokens) if trace.finish == "eos" else None,
        )

    @cached_property
    def _rate(self) -> float:
        """As `accept/rate`, and below 1: what was refused stays so."""
        known = [hit for trace in self.traces for hit in right(trace) if hit is not None]
        return min(sum(known) / len(known), math.nextafter(1.0, 0.0))

    @cached_property
    def _limit(self) -> int:
        """The budget of the run, as far as it shows: where no generation reached it, it stays out of the way."""
        longest = max(len(trace.tokens) for trace in self.traces)
        cut = any(trace.finish == "length" for trace in self.traces)
        return longest if cut else 2 * longest


def right(trace: Trace) -> list[bool | None]:
    """Of each token of the generation: was the draft's token the one that stands? None where it was not tested."""
    stood: list[bool | None] = [None] * len(trace.tokens)
    place = len(trace.tokens) - sum(round_.committed for round_ in trace.rounds)  # a first token that the prefill made
    for round_ in trace.rounds:
        stood[place : place + round_.accepted] = [True] * round_.accepted
        if round_.rejected:
            stood[place + round_.accepted] = False
        place += round_.committed
    return stood


def rates(traces: Iterable[Trace], depth: int) -> list[float]:
    """Conditional rates of the first `depth` places of a draft, for `ByPosition`; a place never tested is left out."""
    tested, accepted = np.zeros(depth), np.zeros(depth)
    for trace in traces:
        for round_ in trace.rounds:
            tested[: round_.accepted + round_.rejected] += 1
            accepted[: round_.accepted] += 1
    return [float(a / t) for a, t in zip(accepted, tested, strict=True) if t]


def _draws(seed: int, number: int, count: int) -> list[float]:
    drawn: list[float] = np.random.default_rng([seed, number]).random(count).tolist()
    return drawn
