"""The draft's work on a thread and, on GPUs, on streams of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from vsd.draft import DraftRunner
from vsd.executors.base import DraftClient, Executor, MakeRunner, Pending, Request, Sides, T, loaded
from vsd.utils.cuda_streams import Piece, Result, Streams


class ThreadClient(DraftClient):
    """Has a thread call the runner (for the streams see `vsd.utils.cuda_streams`)."""

    def __init__(self, runner: DraftRunner) -> None:
        self._runner = runner
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="draft")
        self._streams = Streams(runner.model.devices if runner.model is not None else ())

    def close(self) -> None:
        self._pool.shutdown()

    def start(self, request: Request[T]) -> Pending[T]:
        piece = self._streams.hand_over(*request.keywords.values())
        return Result(self._pool.submit(self._work, piece, request), piece)

    def _work(self, piece: Piece, request: Request[T]) -> T:
        with piece.working():
            return request(self._runner)


@dataclass(frozen=True, kw_only=True)
class Thread(Executor):
    """The draft works on another thread of this process, and on a stream of its own on a GPU. Both sides share one
    interpreter, which most of a small model's step waits for."""

    def connect(self, sides: Sides, make: MakeRunner | None, *, overlaps: bool) -> Sides:
        draft = loaded(sides.draft) if sides.draft is not None else None
        if draft is not None and draft.model is sides.target.model:
            draft = draft.twin()
        return replace(sides, draft=draft, client=ThreadClient(make(draft)) if make else None)
