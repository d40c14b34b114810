"""A draft worker in a process of its own: its own Python, its own threads, its own device.

Token ids, rounds and seconds cross a pipe, frames and kept indices once a sample; of probabilities only the rows that
sampled drafts were drawn from.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import pickle
import signal
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vsd.drafting import DraftSide, Window
from vsd.parallelism.workers import Worker
from vsd.types import Draft, SampleError

START_S = 600.0  # to load the draft's weights, which are on this machine, and to warm its device up
AWAKE_S = 0.02  # for so long either end looks for what comes; waking up costs a core a tenth of a small model's step
GRACE_S = 2.0  # to end when there is no more work
READY = -1


class OtherProcess(Worker):
    """Does the work in a process that builds its own `DraftSide`; it is started with the first piece of work.

    A worker that dies, does not answer within `timeout_s` or runs out of memory ends the sample with its reason
    (SampleError, torch.OutOfMemoryError), and a fresh one takes the next sample. It ends with this process.
    """

    def __init__(self, build: Callable[[], DraftSide], *, timeout_s: float, threads: int) -> None:
        self._build = build
        self._timeout_s = timeout_s
        self._threads = threads
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._asked = 0

    def start(self) -> None:
        """Start the process, if it does not run, and wait until its model is loaded and its device warm, which is no
        part of an answer's `timeout_s`. Raises what the loading raised."""
        if self._process is not None and self._process.is_alive():
            return
        self.close()
        context = multiprocessing.get_context("spawn")  # a CUDA device does not survive a fork
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, self._build, self._threads), name="vsd-draft", daemon=True
        )
        self._process.start()
        theirs.close()
        atexit.register(self.close)
        self._receive(READY, START_S)

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()  # a worker that waits for work ends by itself, and tidies up
        if self._process is not None:
            self._process.join(GRACE_S)
            self._process.kill()
            self._process.join()
        atexit.unregister(self.close)
        self._process = self._pipe = None

    def forget(self) -> None:
        """Nobody waits for it, and a worker that was lost is not replaced for it."""
        if self._pipe is not None:
            with contextlib.suppress(SampleError):
                self._submit("forget")

    def _submit(self, method: str, *args: Any) -> Future[Any]:
        if method == "encode" or self._pipe is None:  # a sample begins: a worker that was lost is replaced
            self.start()
        self._asked += 1
        try:
            if self._pipe is not None:
                self._pipe.send((self._asked, method, [_sent(each) for each in args]))
        except OSError:
            raise self._lost() from None
        return _Reply(self, self._asked)

    def _receive(self, number: int, timeout_s: float) -> Any:
        """The result of this piece of work; those of earlier ones that nobody waited for are dropped."""
        while True:
            try:
                if self._pipe is None or not _comes(self._pipe, timeout_s):
                    self.close()
                    raise SampleError(f"draft: its worker must answer within {timeout_s:g} s, got nothing")
                answered, result, error = self._pipe.recv()
            except (EOFError, OSError):
                raise self._lost() from None
            if answered != number:
                continue
            if isinstance(error, torch.OutOfMemoryError):
                self.close()  # what it holds would be missing in the next sample
            if error is not None:
                raise error
            return _received(result)

    def _lost(self) -> SampleError:
        if self._process is not None:
            self._process.join(1)
        code = self._process.exitcode if self._process is not None else None
        self.close()
        return SampleError(f"draft: its worker must live through the sample, got exit code {code}")


class _Reply(Future[Any]):
    """The answer to one piece of work, read from the pipe when it is asked for."""

    def __init__(self, worker: OtherProcess, number: int) -> None:
        super().__init__()
        self._worker = worker
        self._number = number

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            try:
                self.set_result(self._worker._receive(self._number, timeout or self._worker._timeout_s))
            except Exception as error:
                self.set_exception(error)
        return super().result()


def serve(pipe: Connection, build: Callable[[], DraftSide], threads: int) -> None:
    """The worker's whole life: build, then answer until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other process's to handle
    torch.set_num_threads(threads)
    try:
        side = build()
    except Exception as error:
        pipe.send((READY, None, _told(error)))
        return
    pipe.send((READY, None, None))
    while True:
        try:
            _comes(pipe, None)
            number, method, args = pipe.recv()
        except (EOFError, OSError):
            return
        reply, failure = None, None
        try:
            reply = _sent(getattr(side, method)(*[_received(each) for each in args]))
        except Exception as error:
            failure = _told(error)
        try:
            pipe.send((number, reply, failure))
        except OSError:  # the other end was closed meanwhile
            return


def _comes(pipe: Connection, timeout_s: float | None) -> bool:
    """Whether something can be received, or the other end is closed, within `timeout_s` (None: it is waited for)."""
    end = perf_counter() + (AWAKE_S if timeout_s is None else min(AWAKE_S, timeout_s))
    while perf_counter() < end:
        if pipe.poll(0):
            return True
    return pipe.poll(timeout_s)


class _Array(NamedTuple):
    """What was a tensor, which would be sent through shared memory."""

    array: np.ndarray


class _Window(NamedTuple):
    """What was a window. Its words are lists: a message of them is made and read in half the time."""

    tokens: list[int]
    parents: list[int]
    probs: np.ndarray | None
    seconds: float


def _sent(value: Any) -> Any:
    """The value in a form that is quickly sent."""
    if isinstance(value, Tensor):
        return _Array(value.cpu().numpy())
    if not isinstance(value, Window):
        return value
    draft, probs_NW = value.draft, value.draft.probs_NW
    probs = None if probs_NW is None else probs_NW.cpu().numpy()
    return _Window(draft.tokens_N.tolist(), draft.parents_N.tolist(), probs, value.seconds)


def _received(value: Any) -> Any:
    """What `_sent` was given."""
    if isinstance(value, _Array):
        return torch.from_numpy(value.array)
    if not isinstance(value, _Window):
        return value
    draft = Draft(
        tokens_N=torch.tensor(value.tokens, dtype=torch.long),
        parents_N=torch.tensor(value.parents, dtype=torch.long),
        probs_NW=None if value.probs is None else torch.from_numpy(value.probs),
    )
    return Window(draft=draft, seconds=value.seconds)


def _told(error: Exception) -> Exception:
    """The error itself if it can be sent, else its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
