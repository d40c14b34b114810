"""Every outcome of random draws, with its weight: a distribution is added up instead of sampled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import TypeVar

from torch import Tensor

T = TypeVar("T", bound=Hashable)


class Branches:
    """A RandomSource that follows a script of outcomes; beyond its end it takes the first and notes what else there
    was."""

    def __init__(self, script: tuple[int, ...]) -> None:
        self.script = script
        self.weight = 1.0
        self.weights: list[list[float]] = []

    def happens(self, probability: float) -> bool:
        probability = min(max(probability, 0.0), 1.0)
        return self._take([probability, 1 - probability]) == 0

    def pick(self, weights_W: Tensor) -> int:
        return self._take((weights_W.double() / weights_W.double().sum()).tolist())

    def _take(self, weights: list[float]) -> int:
        step = len(self.weights)
        self.weights.append(weights)
        choice = self.script[step] if step < len(self.script) else _next(weights, 0)
        self.weight *= weights[choice]
        return choice


def _next(weights: list[float], start: int) -> int:
    """The first outcome from `start` on that can happen, or -1."""
    return next((index for index in range(start, len(weights)) if weights[index] > 0), -1)


def probs_of(experiment: Callable[[Branches], T]) -> dict[T, float]:
    """The probability of each result of an experiment that leaves everything random to the source it is given."""
    probs: dict[T, float] = defaultdict(float)
    script: tuple[int, ...] | None = ()
    while script is not None:
        random = Branches(script)
        probs[experiment(random)] += random.weight
        script = _following(random)
    return dict(probs)


def _following(random: Branches) -> tuple[int, ...] | None:
    """The script after this one, in lexical order: the last choice that could have been another one is changed."""
    taken = [*random.script]
    taken += [_next(weights, 0) for weights in random.weights[len(taken) :]]
    for step in range(len(taken) - 1, -1, -1):
        other = _next(random.weights[step], taken[step] + 1)
        if other >= 0:
            return (*taken[:step], other)
    return None
