"""A draft worker on a device of its own, in virtual time: it computes at once and is done later."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from vsd.executors.workers import Worker
from vsd.simulator.virtual_clock import VirtualClock


class Elsewhere(Worker):
    """Another worker's work, done on the virtual clock `there` while the schedule's own time `here` goes on.

    A message takes `latency_s` seconds each way, and asking for an answer or taking it `message_s` here. What is asked
    for while the worker is busy waits for its turn; what nobody needs any more is finished all the same, as by every
    worker of `vsd.parallelism`.
    """

    def __init__(
        self, inner: Worker, *, here: VirtualClock, there: VirtualClock, latency_s: float = 0.0, message_s: float = 0.0
    ) -> None:
        self._inner = inner
        self._here = here
        self._there = there
        self._latency_s = latency_s
        self._message_s = message_s

    def close(self) -> None:
        self._inner.close()

    def forget(self) -> None:
        self._inner.forget()  # takes no time

    def _submit(self, method: str, *args: Any) -> Future[Any]:
        self._here.now += self._message_s
        self._there.begin()
        self._there.until(self._here.now + self._latency_s)
        result = self._inner._submit(method, *args)  # spends the time it takes over there
        return _Later(result, self._here, self._there, self._latency_s, self._message_s)


class _Later(Future[Any]):
    """A result that arrives when the work is done: who asks for it waits until then."""

    def __init__(
        self, inner: Future[Any], here: VirtualClock, there: VirtualClock, latency_s: float, message_s: float
    ) -> None:
        super().__init__()
        self._inner = inner
        self._here = here
        self._there = there
        self._moment = there.now + latency_s - there.late
        self._message_s = message_s

    def result(self, timeout: float | None = None) -> Any:
        self._here.until(self._moment + self._there.late)
        self._here.now += self._message_s
        self._message_s = 0.0  # it is taken once
        return self._inner.result(timeout)
