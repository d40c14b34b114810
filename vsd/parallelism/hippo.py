"""HIPPO's half of the schedule: video-parallel decoding."""

from __future__ import annotations

from dataclasses import dataclass

from vsd.parallelism.parallel import Parallel


@dataclass(frozen=True, kw_only=True)
class Hippo(Parallel):
    """Drafts while verifying, optimistic after an accepted window and conservative after a rejection; prefills overlap.

    HIPPO, arXiv 2601.08273: its optimistic mode is PEARL's post-verification, its conservative mode the
    pre-verification (arXiv 2408.11850).

    Differs from the paper in: of the draft's prefill only its reading of the video overlaps with the target's, since
    what to keep is known when that has ended.
    """

    overlap_prefill: bool = True
