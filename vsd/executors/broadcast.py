"""Drafts that rank 0 of a tensor-parallel run broadcasts to all ranks."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import torch

from vsd.draft import Window
from vsd.types import Draft
from vsd.utils import distributed


def broadcast(job: Future[Window]) -> Future[Window]:
    """The same window on every rank, rank 0's; without torchrun the job itself."""
    return job if distributed.count() == 1 else _Broadcast(job)


class _Broadcast(Future[Window]):
    """Waits for this rank's own window, so that its draft keeps up, and then for rank 0's."""

    def __init__(self, job: Future[Window]) -> None:
        super().__init__()
        self._job = job

    def result(self, timeout: float | None = None) -> Window:
        if not self.done():
            window = self._job.result(timeout)
            own = (window.draft.tokens_N.tolist(), window.draft.parents_N.tolist())
            theirs = distributed.from_rank0(lambda: own)
            if theirs != own:
                # Their probabilities are not here, and nobody asks for them: rank 0 judges.
                tokens_N, parents_N = (torch.tensor(numbers, dtype=torch.long) for numbers in theirs)
                window = replace(window, draft=Draft(tokens_N=tokens_N, parents_N=parents_N))
            self.set_result(window)
        return super().result()
