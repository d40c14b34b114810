"""How the draft's work is done while the target works: on the same thread, on another one, or in another process.

A schedule hands work over and asks for its result later. What is handed over does not depend on where it is done, so
neither do the tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from torch import Tensor

from vsd.draft import DraftSide, Window
from vsd.executors.streams import Piece, Result, Streams
from vsd.types import Grid, Prompt, Round, Video


class Worker(ABC):
    """Does the draft's work, one piece after the other: the methods of `DraftSide`, each as a future."""

    def vision_key(self) -> Future[str | None]:
        """See `DraftSide.vision_key`."""
        return self._submit("vision_key")

    def encode(self, video: Video, question: str) -> Future[float]:
        """See `DraftSide.encode`."""
        return self._submit("encode", video, question)

    def adopt(self, prompt: Prompt) -> Future[float]:
        """See `DraftSide.adopt`."""
        return self._submit("adopt", prompt)

    def prefill(
        self, kept_K: Tensor | None, grid: Grid, text_ids: Sequence[int], seed: int
    ) -> Future[tuple[int, float]]:
        """See `DraftSide.prefill`."""
        return self._submit("prefill", kept_K, grid, text_ids, seed)

    def propose(
        self, tokens: Sequence[int], rounds: Sequence[Round], gamma: int, visual_mass: float | None = None
    ) -> Future[Window]:
        """See `DraftSide.propose`."""
        return self._submit("propose", tokens, rounds, gamma, visual_mass)

    def tell(self, rounds: Sequence[Round]) -> None:
        """See `DraftSide.tell`; nobody waits for it."""
        self._submit("tell", rounds)

    def forget(self) -> None:
        """See `DraftSide.forget`. Whoever works in this process has done so when it returns."""
        self._submit("forget").result()

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
        try:
            return _ended(result=getattr(self._side, method)(*args))
        # The error's traceback holds this frame, which therefore must not hold the future that holds the error.
        except Exception as error:
            return _ended(error=error)


class OtherThread(Worker):
    """Does the work on a thread and, on GPUs, on streams of its own (see `vsd.executors.streams`)."""

    def __init__(self, side: DraftSide) -> None:
        self._side = side
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="draft")
        self._streams = Streams(side.model.devices if side.model is not None else ())

    def close(self) -> None:
        self._pool.shutdown()

    def _submit(self, method: str, *args: Any) -> Future[Any]:
        piece = self._streams.hand_over(*args)
        return Result(self._pool.submit(self._work, piece, method, *args), piece)

    def _work(self, piece: Piece, method: str, *args: Any) -> Any:
        with piece.working():
            return getattr(self._side, method)(*args)


def _ended(result: Any = None, error: Exception | None = None) -> Future[Any]:
    future: Future[Any] = Future()
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
    return future
