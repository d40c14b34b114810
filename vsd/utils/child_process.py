"""A process of our own that may die, hang or be stopped, and the only way in which this project talks to one.

The pipe alone does not do: a write of several megabytes to a stopped process blocks for ever, and so does a read once
the first bytes of a message are there. Here a deadline covers a message from its first byte to its last: a thread kills
the process when it passes, the blocked call fails, and the caller gets ChildTimeout. Imports nothing heavy.
"""

from __future__ import annotations

import atexit
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from time import perf_counter
from types import ModuleType
from typing import Any

AWAKE_S = 0.02  # for so long either end looks for what comes; waking up costs a core a tenth of a small model's step
GRACE_S = 2.0  # to end when there is no more work
LONGEST_S = 1e6  # to wait for a message; operating systems take no number whatever
TICK_S = 0.1  # between two looks at the deadline
CHUNK = 1 << 20  # bytes of a stream's message; a message is held twice while it is read
CONTEXT: SpawnContext | ForkServerContext = multiprocessing.get_context("spawn")
"""How multiprocessing begins the process: neither CUDA nor threads survive a fork of this one."""


_MAIN = threading.Lock()


class ChildError(RuntimeError):
    """The process is lost, and ended; `start` begins a fresh one."""


class ChildTimeout(ChildError):  # noqa: N818 - the field's word
    """It did not take or give a message in time."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        return f"no answer within {self.timeout_s:g} s"


class ChildDied(ChildError):  # noqa: N818 - an outcome
    """It ended by itself or was killed; `exit_code` is negative for a signal, None if there was no process."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"exit code {self.exit_code}"


class ChildProcess:
    """Runs `target(pipe, *args)` in a spawned process, where `pipe` is a Connection to this one; `target` reads it with
    `pipe.recv()`, after `comes(pipe)` where latency counts, and writes with `pipe.send()` and `send_stream`.

    `target` and `args` are pickled. The program's main module is imported again there only if they come from it, so
    that a script needs no main guard. The process ignores Ctrl-C and SIGTERM. It ends when the pipe is closed at this
    end, and with this process, however that ends; one that was stopped (SIGSTOP) when it is continued. One thread at a
    time may use this object.
    """

    def __init__(self, target: Callable[..., None], *args: Any, name: str = "vsd-child") -> None:
        self._target = target
        self._args = args
        self._name = name
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._watchdog = _Watchdog(self._shoot)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process, if it does not run. It is not waited for."""
        if self.alive:
            return
        self.kill()
        needs_main = b"__main__" in bytes(ForkingPickler.dumps((self._target, self._args)))
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=_run, args=(theirs, self._target, self._args), name=self._name, daemon=True)
        with theirs, nullcontext() if needs_main else _without_main():
            process.start()
        self._process, self._pipe = process, ours
        self._watchdog.start(self._name)
        atexit.register(self.close)

    def send(self, message: Any, timeout_s: float) -> None:
        """Hand over a picklable message. Raises ChildTimeout if it is not taken within `timeout_s`, ChildDied if there
        is nobody to take it; a small one is taken by the pipe."""
        data = ForkingPickler.dumps(message)
        with self._deadline(timeout_s) as pipe:
            pipe.send_bytes(data)

    def receive(self, timeout_s: float) -> Any:
        """The next message. Raises ChildTimeout if it is not there, whole, within `timeout_s`, or ChildDied."""
        with self._deadline(timeout_s) as pipe:
            if not comes(pipe, timeout_s):
                raise ChildTimeout(timeout_s)
            data = pipe.recv_bytes()
        return pickle.loads(data)

    def receive_into(self, buffer: Any, timeout_s: float) -> None:
        """Fill a writable buffer with the bytes that the process gives to `send_stream`; errors as of `receive`."""
        view = memoryview(buffer).cast("B")
        done = 0
        with self._deadline(timeout_s) as pipe:
            while done < len(view):
                done += pipe.recv_bytes_into(view[done : done + CHUNK])

    def close(self) -> None:
        """End the process: one that waits for a message ends by itself, any other is killed after GRACE_S."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join(GRACE_S)
        self.kill()

    def kill(self) -> None:
        """End the process at once, whatever it does, also if it is stopped."""
        self._watchdog.stop()
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join(GRACE_S)  # more only for one that waits in the kernel, as for a lost network drive
        atexit.unregister(self.close)
        self._process = self._pipe = None

    @contextmanager
    def _deadline(self, timeout_s: float) -> Iterator[Connection]:
        """Within, the pipe is used; the process does not outlive the deadline, nor an error, after which nobody knows
        where in a message the pipe stands."""
        if self._pipe is None:
            raise ChildDied(None)
        self._watchdog.arm(timeout_s)
        try:
            yield self._pipe
        except (EOFError, OSError):
            if self._watchdog.disarm():
                self.kill()
                raise ChildTimeout(timeout_s) from None
            raise ChildDied(self._exit_code()) from None
        except BaseException:
            self.kill()
            raise
        if self._watchdog.disarm():
            self.kill()
            raise ChildTimeout(timeout_s)

    def _exit_code(self) -> int | None:
        """The exit code of a process that has let go of the pipe."""
        process = self._process
        if process is None:
            return None
        process.join(1)
        code = process.exitcode
        self.kill()
        return code

    def _shoot(self) -> None:
        if self._process is not None:
            self._process.kill()


class _Watchdog:
    """A thread that calls `act`, once, if a deadline passes. To arm it costs nothing: it looks every TICK_S."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._lock = threading.Lock()
        self._end = math.inf
        self._acted = False
        self._stop = threading.Event()

    def start(self, name: str) -> None:
        self._stop, self._end, self._acted = threading.Event(), math.inf, False
        threading.Thread(target=self._watch, args=(self._stop,), name=f"{name}-watchdog", daemon=True).start()

    def stop(self) -> None:
        """It does not act once this returns."""
        with self._lock:
            self._stop.set()

    def arm(self, timeout_s: float) -> None:
        with self._lock:
            self._end = perf_counter() + timeout_s

    def disarm(self) -> bool:
        """Whether it was too late."""
        with self._lock:
            self._end = math.inf
            return self._acted

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(TICK_S):
            with self._lock:
                if perf_counter() > self._end and not stop.is_set():
                    self._acted = True
                    self._act()
                    return


def comes(pipe: Connection, timeout_s: float | None = None) -> bool:
    """Whether something can be received, or the other end is closed, within `timeout_s` (None: it is waited for).

    For AWAKE_S it is looked for without sleep.
    """
    if timeout_s is not None:
        timeout_s = min(timeout_s, LONGEST_S)
    end = perf_counter() + (AWAKE_S if timeout_s is None else min(AWAKE_S, timeout_s))
    while perf_counter() < end:
        if pipe.poll(0):
            return True
    return pipe.poll(timeout_s)


def send_stream(pipe: Connection, buffer: Any) -> None:
    """Send the bytes of a contiguous buffer to `ChildProcess.receive_into`."""
    view = memoryview(buffer).cast("B")
    for start in range(0, len(view), CHUNK):
        pipe.send_bytes(view[start : start + CHUNK])


def _run(pipe: Connection, target: Callable[..., None], args: tuple[Any, ...]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # which come to all processes; they are the parent's to handle
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the parent has closed the pipe
        target(pipe, *args)


def _end_with_parent() -> None:
    """A parent that was killed closes the pipe too, but who is busy does not read it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class _Main(ModuleType):
    """The program's main module without a word of where it came from."""

    def __init__(self, main: ModuleType) -> None:
        super().__init__("__main__")
        self.__file__ = None
        self._main = main

    def __getattr__(self, name: str) -> Any:
        return getattr(self._main, name)


@contextmanager
def _without_main() -> Iterator[None]:
    """Within, multiprocessing finds no main module that the new process should import: a script without a main guard
    would run there again. Other threads find all that it holds."""
    with _MAIN:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = _Main(main)
        try:
            yield
        finally:
            sys.modules["__main__"] = main
