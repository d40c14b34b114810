"""ParallelVLM's half of the schedule: parallel prefill and parallel decoding."""

from __future__ import annotations

from dataclasses import dataclass

from vsd.parallelism.parallel import Parallel


@dataclass(frozen=True, kw_only=True)
class ParallelVLM(Parallel):
    """Drafts its first window while the target prefills, and every further one while the target verifies.

    ParallelVLM, arXiv 2603.19610: states of the target's early layers go to the draft (through UV-Prune, or whichever
    pruner is chosen), which prunes, prefills and drafts within the target's prefill. Windows are as long as the
    speed ratio of the two, measured as the run goes; gamma is the most they may be.

    Differs from the paper in: what happens at a rejection is not published, here it is PEARL's (arXiv 2408.11850), with
    its pre-verification; the first token of a generation waits for the first window, with which it is tested.
    """

    overlap_prefill: bool = True
    early_draft: bool = True
    length: str = "measured"
