"""How long a run waits for a server: as long as it answers, and a few seconds in all while it does not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

T = TypeVar("T")

SILENT_S = 4.0  # in all, without an answer
LONGEST_S = 120.0  # for one piece of work, even if the server answers
PROBE_S = 2.0  # for one answer
_SLICE_S = 0.5


class GaveUp(RuntimeError):  # noqa: N818 - an outcome
    """The work was not done in time; it goes on, or hangs, in a thread of its own."""


class Patience:
    """Bounds what is waited for. `answers` is asked while a piece of work takes long; it may take `PROBE_S` itself."""

    def __init__(
        self, answers: Callable[[], bool], *, silent_s: float = SILENT_S, longest_s: float = LONGEST_S
    ) -> None:
        self._answers = answers
        self._left_s = silent_s
        self._longest_s = longest_s

    def call(self, work: Callable[[], T]) -> T:
        """What the work returns or raises. Raises GaveUp when it takes too long."""
        future, began = _started(work), time.monotonic()
        heard, silent_s = began, 0.0
        while not _ended(future, _SLICE_S):
            if self._answers():
                heard, silent_s = time.monotonic(), 0.0
            else:
                silent_s = time.monotonic() - heard
            if silent_s >= self._left_s:
                self._left_s = 0.0
                raise GaveUp("the server does not answer")
            if time.monotonic() - began > self._longest_s:
                raise GaveUp(f"not done after {self._longest_s:.0f} s")
        self._left_s -= silent_s
        return future.result()


def answers(address: str) -> bool:
    """Whether the W&B server there answers a question within `PROBE_S`; one that has only errors to say does not."""
    asked = _started(lambda: _status(address))  # a thread, since looking up a name has no deadline
    return _ended(asked, PROBE_S) and asked.exception() is None and asked.result() < 500


def _status(address: str) -> int:
    question = json.dumps({"query": "{__typename}"}).encode()
    headers = {"Content-Type": "application/json"}
    try:
        with urlopen(Request(f"{address.rstrip('/')}/graphql", question, headers), timeout=PROBE_S) as answer:
            return int(answer.status)
    except HTTPError as error:  # whoever refuses is there
        return error.code


def _started(work: Callable[[], T]) -> Future[T]:
    """The work in a thread of its own: a daemon, since one that hangs must not keep the interpreter from ending."""
    future = Future[T]()

    def fill() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # a library that wants to end the interpreter ends this thread alone
            future.set_exception(error)

    threading.Thread(target=fill, daemon=True, name="vsd-wandb").start()
    return future


def _ended(future: Future[T], seconds: float) -> bool:
    """Whether the work ends within so many seconds."""
    ended = threading.Event()
    future.add_done_callback(lambda _: ended.set())
    return ended.wait(seconds)
