"""PEARL: drafting while verifying."""

from __future__ import annotations

from dataclasses import dataclass

from vsd.parallelism.parallel import Parallel


@dataclass(frozen=True, kw_only=True)
class Pearl(Parallel):
    """While the target verifies a window, the draft writes the next one; a rejection throws it away.

    PEARL, arXiv 2408.11850, with its pre-verification and post-verification.

    Differs from the paper in: a generation ends only with verified tokens, and exactly at its budget; any acceptance
    rule may judge; each side draws from a random stream of its own.
    """
