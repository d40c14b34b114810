"""As many tokens as pay: gamma from measured times and the acceptance so far."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, ClassVar

from vsd.drafters.wrapper import DrafterWrapper
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.types import Context, Draft, Round
from vsd.utils.random_source import RandomSource

MEMORY = 512  # tested tokens that the acceptance remembers
TIMES = 32  # rounds of one length whose time is remembered
PRIOR = 4.0  # tested tokens that the first estimate of the acceptance, one half, is worth
PROBES = 6  # rounds that begin a run with the shortest and the longest draft in turn
PROBE_EVERY = 32  # rounds after which both are tried again, at once: a machine has slow minutes


def best_gamma(alpha: float, round_s: Sequence[float]) -> int:
    """The gamma of most tokens per second, from 1 to len(round_s): tau / round_s[gamma - 1].

    tau = (1 - alpha^(gamma+1)) / (1 - alpha), as for i.i.d. acceptance (arXiv 2211.17192). `round_s` is the time of a
    round with 1, 2, ... drafted tokens.
    """
    best, most, tau = 1, 0.0, 1.0
    for gamma, seconds in enumerate(round_s, start=1):
        tau += alpha**gamma
        if tau / seconds > most:
            best, most = gamma, tau / seconds
    return best


@dataclass
class Pace:
    """What the rounds of a run so far say of its speed; `inner` is what the drafter inside remembers."""

    inner: Any = None
    rounds: int = 0
    accepted: float = 0.0
    tested: float = 0.0
    times: dict[int, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=TIMES)))
    """Seconds of the last rounds, by the number of tokens drafted."""

    def see(self, round: Round) -> None:
        """Take in a round; one without a draft says nothing."""
        if round.drafted:
            self.rounds += 1
            fading = max(0.0, 1 - (round.accepted + round.rejected) / MEMORY)
            self.accepted = fading * self.accepted + round.accepted
            self.tested = fading * self.tested + round.accepted + round.rejected
            if round.verify_s:  # one that was tested with the prefill's logits has no time of its own
                self.times[round.drafted].append(round.draft_s + round.verify_s)

    @property
    def alpha(self) -> float:
        """The share of tested tokens that is accepted."""
        return (self.accepted + 0.5 * PRIOR) / (self.tested + PRIOR)

    def round_s(self, largest: int) -> list[float]:
        """Seconds of a round with 1 to `largest` drafted tokens: a straight line through the medians of what was
        measured, weighted by how often it was."""
        points = [(gamma, median(times), len(times)) for gamma, times in self.times.items()]
        weight = sum(count for _, _, count in points)
        centre = sum(gamma * count for gamma, _, count in points) / weight
        mean = sum(seconds * count for _, seconds, count in points) / weight
        spread = sum(count * (gamma - centre) ** 2 for gamma, _, count in points)
        along = sum(count * (gamma - centre) * seconds for gamma, seconds, count in points)
        slope = min(max(along / spread, 0.0), mean / centre) if spread else 0.0  # no time below 0 at gamma 0
        return [mean + slope * (gamma - centre) for gamma in range(1, largest + 1)]


@dataclass(frozen=True, kw_only=True)
class Adaptive(DrafterWrapper):
    """Asks another drafter for the number of tokens that pays best by the measured times; gamma is the most it may be.

    The cost model of arXiv 2211.17192, for draft and target in turn. Since gamma follows the clock, a run with a random
    or lossy rule is not repeated token by token by its seed.

    Differs from the paper in: acceptance and times are those of this run so far, over all its samples (medians by the
    number of tokens, and a straight line through them); the longest and the shortest draft are tried now and then.
    """

    timed: ClassVar[bool] = True

    def memory(self) -> Pace:
        return Pace(inner=self.inner.memory())

    def learn(self, rounds: Sequence[Round], memory: Pace) -> None:
        self.inner.learn(rounds, memory.inner)
        for round in rounds:
            memory.see(round)

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        pace: Pace = context.memory
        within = replace(context, memory=pace.inner)
        return self.inner.propose(within, model, state, self.length(pace, gamma), random)

    def length(self, pace: Pace, largest: int) -> int:
        """The number of tokens to draft next, at most `largest`."""
        if pace.rounds < PROBES or pace.rounds % PROBE_EVERY < 2:
            return 1 if pace.rounds % 2 else largest
        return best_gamma(pace.alpha, pace.round_s(largest))
