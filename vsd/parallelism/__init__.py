"""Schedules: what runs when. The baseline is one of them."""

from vsd.parallelism.autoregressive import Autoregressive
from vsd.parallelism.base import Generation, Parallelism, Session
from vsd.parallelism.chains import NO_DRAFT
from vsd.parallelism.parallel import Parallel
from vsd.parallelism.sequential import Sequential

__all__ = [
    "NO_DRAFT",
    "Autoregressive",
    "Generation",
    "Parallel",
    "Parallelism",
    "Sequential",
    "Session",
]
