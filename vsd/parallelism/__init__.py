"""Schedules: what runs when. The baseline is one of them."""

from vsd.parallelism.autoregressive import Autoregressive
from vsd.parallelism.base import Parallelism
from vsd.parallelism.parallel import HIPPO, PARALLELVLM, PEARL, Parallel
from vsd.parallelism.sequential import Sequential

__all__ = ["HIPPO", "PARALLELVLM", "PEARL", "Autoregressive", "Parallel", "Parallelism", "Sequential"]
