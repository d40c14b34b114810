"""What can be chosen: a pruner with its ratio, a schedule, and the drafter's length."""

from __future__ import annotations

from typing import NamedTuple

from vsd.parallelism import HIPPO, PARALLELVLM, PEARL, Parallelism, Sequential

SCHEDULES: dict[str, Parallelism] = {
    "sequential": Sequential(),
    "pearl": PEARL,
    "hippo": HIPPO,
    "parallelvlm": PARALLELVLM,
}
"""By the names of conf/parallelism, as these files have them."""


class Pruning(NamedTuple):
    """A pruner by its name in conf/pruner, and the share of visual tokens that it removes."""

    pruner: str
    ratio: float

    @property
    def overrides(self) -> list[str]:
        return [f"pruner={self.pruner}", *([f"ratio={self.ratio:g}"] if self.ratio else [])]

    def __str__(self) -> str:
        return f"{self.pruner} {self.ratio:g}" if self.ratio else self.pruner


UNPRUNED = Pruning("none", 0.0)


class Candidate(NamedTuple):
    """One setting."""

    pruning: Pruning
    schedule: str
    gamma: int

    @property
    def overrides(self) -> list[str]:
        return [*self.pruning.overrides, f"parallelism={self.schedule}", f"gamma={self.gamma}"]

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.pruning}-{self.schedule}-{self.gamma}".replace(" ", "-")

    def __str__(self) -> str:
        return f"{self.pruning}, {self.schedule}, gamma {self.gamma}"
