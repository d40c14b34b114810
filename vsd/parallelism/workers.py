"""How the draft's work is done while the target works: on the same thread, or on one of its own.

A schedule hands work over and asks for its result later; what is handed over does not depend on where it is done, so
neither do the tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch

from vsd.drafting import DraftSide

T = TypeVar("T")


class Worker(ABC):
    """Does the draft's work, one piece after the other."""

    def __init__(self, side: DraftSide) -> None:
        self.side = side

    @abstractmethod
    def submit(self, work: Callable[..., T], *args: Any) -> Future[T]:
        """Begin `work`, a method of `side`; the future gives what it returns or raises."""

    def close(self) -> None:  # noqa: B027 - most have nothing to stop
        """Stop; nothing can be submitted any more."""


class SameThread(Worker):
    """Does the work before `submit` returns."""

    def submit(self, work: Callable[..., T], *args: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(work(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class OtherThread(Worker):
    """Does the work on a thread and, on a GPU, a stream of its own."""

    def __init__(self, side: DraftSide) -> None:
        super().__init__(side)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="draft")
        device = side.model.device if side.model is not None else torch.device("cpu")
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def submit(self, work: Callable[..., T], *args: Any) -> Future[T]:
        return self._pool.submit(self._on_stream, work, *args)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _on_stream(self, work: Callable[..., T], *args: Any) -> T:
        with torch.cuda.stream(self._stream):  # None: no stream to change to
            return work(*args)


EXECUTORS: dict[str, type[Worker]] = {"inline": SameThread, "thread": OtherThread}
"""By the name of `parallelism.executor`."""
