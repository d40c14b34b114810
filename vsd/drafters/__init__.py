"""Drafters: where the proposed tokens come from. One method, one file, one paper."""

from vsd.drafters.base import Drafter
from vsd.drafters.chain import Chain

__all__ = ["Chain", "Drafter"]
