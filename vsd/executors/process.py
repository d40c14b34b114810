"""The draft's work in a process of its own: its own Python, its own threads, its own device.

Token ids, rounds and seconds cross a pipe; kept indices and frames, or the target's prompt in place of frames, once a
sample; of probabilities only the rows that sampled drafts were drawn from.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, ClassVar, Generic

import torch
from tqdm import tqdm

from vsd.draft import DraftRunner, load_runner
from vsd.executors.base import DraftClient, Executor, MakeRunner, Pending, Request, Sides, T
from vsd.models import Checkpoint, VideoLM
from vsd.types import SampleError
from vsd.utils.child_process import ChildDied, ChildError, ChildProcess, ChildTimeout, comes
from vsd.utils.messages import Blocks, arrives, packed, probe, unpacked
from vsd.utils.validation import is_number, require, require_whole

START_S = 600.0  # to load the draft's weights, which are on this machine, to warm its device up, or to compile
READY = -1


class ProcessClient(DraftClient):
    """Asks a worker process, which makes its own runner: `begin` starts it, `ready` waits for it.

    A worker that dies, does not take a request or answer it within `timeout_s`, or runs out of memory ends the sample
    with its reason (SampleError, torch.OutOfMemoryError), and a fresh one takes the next sample. It ends with this
    process.
    """

    def __init__(self, make: Callable[[], DraftRunner], *, timeout_s: float, threads: int) -> None:
        self._probe = Blocks()
        self._child = ChildProcess(serve, make, threads, probe(self._probe), name="vsd-draft")
        self._timeout_s = timeout_s
        self._count = 0
        self._begun = self._ready = self._shares = False
        self._lent = dict[int, Blocks]()  # by the request that they are of

    def begin(self) -> None:
        """Start the process, unless it runs. It is not waited for."""
        if self._begun and not (self._ready and not self._child.alive):
            return  # one that died while it began has said why
        self._begun, self._ready = True, False
        self._child.start()

    def ready(self) -> None:
        """Start the process, if it does not run, and wait until its model is loaded and its device warm, which is no
        part of a request's `timeout_s`. Raises what the loading raised."""
        self.begin()
        if self._ready:
            return
        try:
            self._shares = self.receive(READY, START_S)
            self._ready = True
        finally:
            self._begun = self._ready

    def close(self) -> None:
        self._child.close()
        self._release()
        self._probe.release()

    def forget(self) -> None:
        """Nobody waits for it, and a worker that was lost is not replaced for it."""
        with suppress(SampleError):
            self.start(partial(DraftRunner.forget))

    def start(self, request: Request[T]) -> Pending[T]:
        self._count += 1
        blocks = self._lent[self._count] = Blocks()
        lent = blocks if self._shares else None
        arguments = {name: packed(value, lent) for name, value in request.keywords.items()}
        try:
            self._child.send((self._count, request.func, arguments), self._timeout_s)
        except ChildError as error:
            self._release()
            raise _lost(error) from None
        return _Reply(self, self._count, self._timeout_s)

    def receive(self, number: int, timeout_s: float) -> Any:
        """The result of this request; those of earlier ones that nobody waited for are dropped."""
        answered = None
        while answered != number:
            try:
                answered, result, error = self._child.receive(timeout_s)
            except ChildError as lost:
                self._release()
                raise _lost(lost) from None
            self._release(answered)
        if isinstance(error, torch.OutOfMemoryError):
            self._child.close()  # what it holds would be missing in the next sample
        if error is not None:
            raise error
        return unpacked(result)

    def _release(self, answered: int | None = None) -> None:
        """Let go of what was lent for requests up to this one; for all, if nobody will answer any more."""
        for number in [each for each in self._lent if answered is None or each <= answered]:
            self._lent.pop(number).release()


class _Reply(Generic[T]):
    """The answer to one request, read from the pipe when somebody waits for it."""

    def __init__(self, client: ProcessClient, number: int, timeout_s: float) -> None:
        self._client, self._number, self._timeout_s = client, number, timeout_s
        self._value = list[T]()

    def result(self) -> T:
        if not self._value:
            self._value.append(self._client.receive(self._number, self._timeout_s))
        return self._value[0]


def serve(pipe: Connection, make: Callable[[], DraftRunner], threads: int, sent: Any) -> None:
    """The worker's whole life: make the runner, then answer until the other end of the pipe is closed."""
    torch.set_num_threads(threads)
    tqdm.set_lock(threading.RLock())  # its own default is a semaphore, which a killed process would leave behind
    try:
        runner = make()
    except Exception as error:
        pipe.send((READY, None, _sendable(error)))
        return
    pipe.send((READY, arrives(sent), None))
    while True:
        comes(pipe)
        number, method, arguments = pipe.recv()
        reply, failure = None, None
        try:
            reply = packed(method(runner, **{name: unpacked(value) for name, value in arguments.items()}))
        except Exception as error:
            failure = _sendable(error)
        pipe.send((number, reply, failure))


def _sendable(error: Exception) -> Exception:
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


@dataclass(frozen=True, kw_only=True)
class Process(Executor):
    """The draft works in a process of its own, which loads its model itself and computes with `threads` threads (0: as
    many as this one). It has `timeout_s` seconds to take a request or to answer it, at least 600 where its passes are
    compiled, before it is replaced."""

    remote: ClassVar[bool] = True

    timeout_s: float = 60.0
    threads: int = 0

    def __post_init__(self) -> None:
        holds = is_number(self.timeout_s) and self.timeout_s > 0
        require("executor.timeout_s", "a number above 0", self.timeout_s, holds)
        require_whole("executor.threads", self.threads, least=0)

    def begin(self, draft: VideoLM | Checkpoint | None, make: MakeRunner) -> DraftClient:
        """The worker starts now, and loads its model while this process loads the target."""
        timeout_s = self.timeout_s
        if isinstance(draft, Checkpoint):
            draft.fetch()  # a download is no part of the worker's start
            build = partial(load_runner, draft, make)
            if draft.compile == "inductor":
                timeout_s = max(timeout_s, START_S)  # any request may have a pass to compile
        elif draft is None:
            build = partial(make, None)
        else:
            raise ValueError("draft: a process of its own loads its own model, got one that is loaded (Checkpoint)")
        client = ProcessClient(build, timeout_s=timeout_s, threads=self.threads or torch.get_num_threads())
        client.begin()
        return client

    def connect(self, sides: Sides, make: MakeRunner | None, *, overlaps: bool) -> Sides:
        return sides
