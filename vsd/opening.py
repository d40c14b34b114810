"""What the draft's side does before the first round: it reads the video, is told what to keep, and reads that."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from vsd.draft import Window
from vsd.executors.broadcast import broadcast
from vsd.executors.workers import Worker
from vsd.models.base import Early
from vsd.types import Evidence, Prompt
from vsd.utils import distributed
from vsd.utils.clock import Clock

if TYPE_CHECKING:
    from vsd.pruners.base import Pruner


class Opening:
    """One sample's way to a draft that is ready: `encode`, `prefill`, `finish`, in this order, each as early as the
    schedule wants it. `early` may take the second step, and ask for a first window, in the midst of the target's
    prefill.

    `encode_draft` has the worker begin the sample; `pruner` is None if the draft's prompt is not pruned.
    """

    def __init__(
        self,
        worker: Worker,
        pruner: Pruner | None,
        clock: Clock,
        *,
        prompt: Prompt,
        seed: int,
        window: int,
        encode_draft: Callable[[], Future[float]],
    ) -> None:
        self._worker, self._pruner, self._clock = worker, pruner, clock
        self._prompt, self._seed, self._length = prompt, seed, window
        self._encode_draft = encode_draft
        self._encoding: Future[float] | None = None
        self._prefilling: Future[tuple[int, float]] | None = None
        self._drafting: Future[Window] | None = None

    @property
    def early(self) -> Early:
        """Prune, prefill and draft as soon as the evidence is there."""
        return Early(needs=frozenset(self._pruner.needs) if self._pruner else frozenset(), call=self._draft_early)

    def encode(self) -> Future[float]:
        """Let the draft read the video, or take the target's features of it."""
        self._encoding = self._encoding or self._encode_draft()
        return self._encoding

    def prefill(self, evidence: Evidence) -> Future[tuple[int, float]]:
        """Choose what to keep, and let the draft read that."""
        if self._prefilling is None:
            self.encode()
            kept_K = None
            if self._pruner is not None:
                with self._clock.span("prune"):
                    kept_K = distributed.from_rank0(partial(self._pruner.keep, replace(evidence, seed=self._seed)))
            self._prefilling = self._worker.prefill(kept_K, self._prompt.grid, self._prompt.text_ids, self._seed)
        return self._prefilling

    def window(self, evidence: Evidence) -> Window | None:
        """The window that was drafted early, if one was."""
        if self._drafting is None:
            return None
        self.finish(evidence)
        return self._drafting.result()

    def finish(self, evidence: Evidence) -> int:
        """Wait until the draft is ready; returns how many visual tokens it has read: 0 if there is no model that reads.
        Its seconds are noted."""
        encoding, prefilling = self.encode(), self.prefill(evidence)
        encoded_s = encoding.result()
        kept, read_s = prefilling.result()
        if kept:
            self._clock.seconds |= {"draft_encode": encoded_s, "draft_prefill": read_s}
        return kept

    def _draft_early(self, evidence: Evidence) -> None:
        self.prefill(evidence)
        self._drafting = broadcast(self._worker.propose([], [], self._length))
