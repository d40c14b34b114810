"""How the draft's work is done while the target works: on the same thread, on another one, or in another process.

A schedule hands work over and asks for its result later. What is handed over does not depend on where it is done, so
neither do the tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from vsd.drafting import DraftSide, Window
from vsd.types import Grid, Prompt, Round, Video


class Worker(ABC):
    """Does the draft's work, one piece after the other: the methods of `DraftSide`, each as a future."""

    def encode(self, video: Video, question: str, prompt: Prompt | None) -> Future[float]:
        """See `DraftSide.encode`."""
        return self._submit("encode", video, question, prompt)

    def prefill(self, kept_K: Tensor | None, grid: Grid, words: Sequence[int], seed: int) -> Future[tuple[int, float]]:
        """See `DraftSide.prefill`."""
        return self._submit("prefill", kept_K, grid, words, seed)

    def propose(
        self, tokens: Sequence[int], rounds: Sequence[Round], gamma: int, visual_mass: float | None = None
    ) -> Future[Window]:
        """See `DraftSide.propose`."""
        return self._submit("propose", tokens, rounds, gamma, visual_mass)

    def tell(self, rounds: Sequence[Round]) -> None:
        """See `DraftSide.tell`; nobody waits for it."""
        self._submit("tell", rounds)

    def close(self) -> None:  # noqa: B027 - most have nothing to stop
        """Stop; nothing can be handed over any more."""

    @abstractmethod
    def _submit(self, method: str, *args: Any) -> Future[Any]:
        """Begin the work; the future gives what it returns or raises."""


class SameThread(Worker):
    """Does the work before it is asked for."""

    def __init__(self, side: DraftSide) -> None:
        self._side = side

    def _submit(self, method: str, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(getattr(self._side, method)(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class OtherThread(Worker):
    """Does the work on a thread and, on a GPU, a stream of its own."""

    def __init__(self, side: DraftSide) -> None:
        self._side = side
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="draft")
        device = side.model.device if side.model is not None else torch.device("cpu")
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def close(self) -> None:
        self._pool.shutdown()

    def _submit(self, method: str, *args: Any) -> Future[Any]:
        return self._pool.submit(self._on_stream, method, *args)

    def _on_stream(self, method: str, *args: Any) -> Any:
        with torch.cuda.stream(self._stream):  # None: no stream to change to
            return getattr(self._side, method)(*args)
