"""A draft worker in a process of its own: its own Python, its own threads, its own device.

Token ids, rounds and seconds cross a pipe; kept indices and frames, or the target's prompt in place of frames, once a
sample; of probabilities only the rows that sampled drafts were drawn from.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import fields
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vsd.draft import DraftSide, Window
from vsd.executors.workers import Worker
from vsd.types import Draft, Prompt, SampleError
from vsd.utils.child_process import ChildDied, ChildError, ChildProcess, ChildTimeout, comes

START_S = 600.0  # to load the draft's weights, which are on this machine, and to warm its device up
READY = -1
_BEGINNINGS = frozenset({"vision_key", "encode", "adopt"})  # of a run or a sample: a worker that was lost is replaced


class OtherProcess(Worker):
    """Does the work in a process that builds its own `DraftSide`; it is started with the first piece of work.

    A worker that dies, does not take a piece of work or answer it within `timeout_s`, or runs out of memory ends the
    sample with its reason (SampleError, torch.OutOfMemoryError), and a fresh one takes the next sample. It ends with
    this process.
    """

    def __init__(self, build: Callable[[], DraftSide], *, timeout_s: float, threads: int) -> None:
        self._child = ChildProcess(serve, build, threads, name="vsd-draft")
        self._timeout_s = timeout_s
        self._asked = 0

    def start(self) -> None:
        """Start the process, if it does not run, and wait until its model is loaded and its device warm, which is no
        part of an answer's `timeout_s`. Raises what the loading raised."""
        if not self._child.alive:
            self._child.start()
            self._receive(READY, START_S)

    def close(self) -> None:
        self._child.close()

    def forget(self) -> None:
        """Nobody waits for it, and a worker that was lost is not replaced for it."""
        with suppress(SampleError):
            self._submit("forget")

    def _submit(self, method: str, *args: Any) -> Future[Any]:
        if method in _BEGINNINGS:
            self.start()
        self._asked += 1
        try:
            self._child.send((self._asked, method, [_sent(item) for item in args]), self._timeout_s)
        except ChildError as error:
            raise _lost(error) from None
        return _Reply(self, self._asked)

    def _receive(self, number: int, timeout_s: float) -> Any:
        """The result of this piece of work; those of earlier ones that nobody waited for are dropped."""
        answered = None
        while answered != number:
            try:
                answered, result, error = self._child.receive(timeout_s)
            except ChildError as lost:
                raise _lost(lost) from None
        if isinstance(error, torch.OutOfMemoryError):
            self.close()  # what it holds would be missing in the next sample
        if error is not None:
            raise error
        return _received(result)


class _Reply(Future[Any]):
    """The answer to one piece of work, read from the pipe when it is asked for."""

    def __init__(self, worker: OtherProcess, number: int) -> None:
        super().__init__()
        self._worker = worker
        self._number = number

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            try:
                self.set_result(
                    self._worker._receive(self._number, self._worker._timeout_s if timeout is None else timeout)
                )
            except Exception as error:
                self.set_exception(error)
        return super().result()


def serve(pipe: Connection, build: Callable[[], DraftSide], threads: int) -> None:
    """The worker's whole life: build, then answer until the other end of the pipe is closed."""
    torch.set_num_threads(threads)
    tqdm.set_lock(threading.RLock())  # its own default is a semaphore, which a killed process would leave behind
    try:
        side = build()
    except Exception as error:
        pipe.send((READY, None, _reported(error)))
        return
    pipe.send((READY, None, None))
    while True:
        comes(pipe)
        number, method, args = pipe.recv()
        reply, failure = None, None
        try:
            reply = _sent(getattr(side, method)(*[_received(item) for item in args]))
        except Exception as error:
            failure = _reported(error)
        pipe.send((number, reply, failure))


class _Array(NamedTuple):
    """What was a tensor, which would be sent through shared memory; `bits`: of bfloat16, which numpy does not have."""

    array: np.ndarray
    bits: bool


class _Prompt(NamedTuple):
    """What was a prompt: its fields by name."""

    fields: dict[str, Any]


class _Window(NamedTuple):
    """What was a window. Its tokens are lists: a message of them is made and read in half the time."""

    tokens: list[int]
    parents: list[int]
    probs: np.ndarray | None
    seconds: float


def _sent(value: Any) -> Any:
    """The value in a form that is quickly sent."""
    if isinstance(value, Tensor):
        bits = value.dtype is torch.bfloat16
        return _Array((value.view(torch.int16) if bits else value).cpu().numpy(), bits)
    if isinstance(value, Prompt):
        return _Prompt({item.name: _sent(getattr(value, item.name)) for item in fields(value)})
    if not isinstance(value, Window):
        return value
    draft, probs_NW = value.draft, value.draft.probs_NW
    probs = None if probs_NW is None else probs_NW.cpu().numpy()
    return _Window(draft.tokens_N.tolist(), draft.parents_N.tolist(), probs, value.seconds)


def _received(value: Any) -> Any:
    """What `_sent` was given."""
    if isinstance(value, _Array):
        tensor = torch.from_numpy(value.array)
        return tensor.view(torch.bfloat16) if value.bits else tensor
    if isinstance(value, _Prompt):
        return Prompt(**{name: _received(item) for name, item in value.fields.items()})
    if not isinstance(value, _Window):
        return value
    draft = Draft(
        tokens_N=torch.tensor(value.tokens, dtype=torch.long),
        parents_N=torch.tensor(value.parents, dtype=torch.long),
        probs_NW=None if value.probs is None else torch.from_numpy(value.probs),
    )
    return Window(draft=draft, seconds=value.seconds)


def _reported(error: Exception) -> Exception:
    """The error itself if it can be sent, else its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _lost(error: ChildError) -> SampleError:
    """The end of a worker as the end of a sample."""
    if isinstance(error, ChildTimeout):
        return SampleError(f"draft: its worker must answer within {error.timeout_s:g} s, got nothing")
    code = error.exit_code if isinstance(error, ChildDied) else None
    return SampleError(f"draft: its worker must live through the sample, got exit code {code}")
