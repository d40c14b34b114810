"""Verifiers: when a draft token stands. One rule, one file, one paper."""

from vsd.verifiers.base import Verifier
from vsd.verifiers.greedy import Greedy

__all__ = ["Greedy", "Verifier"]
