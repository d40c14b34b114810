"""As many tokens as pay: gamma from measured times and the acceptance so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vsd.chance import Chance
from vsd.drafters.around import Around
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.types import Context, Draft, Round

MEMORY = 256  # rounds
PRIOR = 4.0  # tested tokens that the first estimate of the acceptance is worth


def best_gamma(alpha: float, draft_s: float, verify_s: Sequence[float]) -> int:
    """The gamma of most tokens per second, from 1 to len(verify_s): tau / (gamma * draft_s + verify_s[gamma - 1]).

    tau = (1 - alpha^(gamma+1)) / (1 - alpha), as for i.i.d. acceptance (arXiv 2211.17192). `draft_s` is the time of a
    drafted token, `verify_s` that of a verification with 1, 2, ... of them.
    """

    def speed(gamma: int) -> float:
        tau = sum(alpha**power for power in range(gamma + 1))
        return float(tau / (gamma * draft_s + verify_s[gamma - 1]))

    return max(range(1, len(verify_s) + 1), key=speed)


def estimate(rounds: Iterable[Round], largest: int) -> tuple[float, float, list[float]] | None:
    """alpha, draft_s and verify_s (for 1 to `largest` tokens: a straight line through what was measured) of rounds that
    drafted; None without any."""
    drafted = [each for each in rounds if each.drafted]
    if not drafted:
        return None
    accepted, rejected = sum(each.accepted for each in drafted), sum(each.rejected for each in drafted)
    alpha = (accepted + 0.5 * PRIOR) / (accepted + rejected + PRIOR)
    draft_s = sum(each.draft_s for each in drafted) / sum(each.drafted for each in drafted)
    gammas = np.array([each.drafted for each in drafted], float)
    times = np.array([each.verify_s for each in drafted])
    slope, start = 0.0, float(np.median(times))
    if len(set(gammas)) > 1:
        slope, start = (float(value) for value in np.polyfit(gammas, times, 1))
        if slope < 0 or start < 0:
            slope, start = 0.0, float(np.median(times))
    return alpha, draft_s, [start + slope * gamma for gamma in range(1, largest + 1)]


@dataclass(frozen=True, kw_only=True)
class Adaptive(Around):
    """Asks another drafter for the number of tokens that pays best by the measured times; gamma is the most it may be.

    The cost model of arXiv 2211.17192 with the running acceptance and step times of this run, over all its samples.
    """

    seen: deque[Round] = field(default_factory=lambda: deque(maxlen=MEMORY), init=False, repr=False, compare=False)
    place: list[int] = field(default_factory=lambda: [0], init=False, repr=False, compare=False)
    """How many rounds of the answer in hand are in `seen`."""

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, chance: Chance
    ) -> Draft:
        if len(context.rounds) < self.place[0]:  # another answer has begun
            self.place[0] = 0
        self.seen.extend(context.rounds[self.place[0] :])
        self.place[0] = len(context.rounds)
        known = estimate(self.seen, gamma)
        return self.inner.propose(context, model, state, best_gamma(*known) if known else gamma, chance)
