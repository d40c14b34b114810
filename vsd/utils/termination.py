"""Signals that ask this process to end: what it works at is dropped, as on Ctrl-C, and what is finished stays."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """A signal has asked for the end. A KeyboardInterrupt, since all that is left to do is the same."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.signal = number


AGAIN_S = 20.0
_received: signal.Signals | None = None
_raised_at = 0.0
_listeners = 0


@contextmanager
def listening(*numbers: signal.Signals) -> Iterator[None]:
    """Within, the first of these signals raises Terminated in the main thread, wherever it is; others do nothing while
    it ends, for AGAIN_S seconds: an exception within a destructor is lost, and then a later signal must do. In another
    thread, which can have no handlers, nothing is changed."""
    global _received, _listeners
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if not _listeners:
        _received = None
    before = {number: signal.signal(number, _raise) for number in numbers}
    _listeners += 1
    try:
        yield
    finally:
        _listeners -= 1
        for number, handler in before.items():
            signal.signal(number, handler)


def received() -> signal.Signals | None:
    """The signal that has come, if one has."""
    return _received


def interruption() -> KeyboardInterrupt:
    """What has interrupted this process, for whoever has caught it under another name."""
    return KeyboardInterrupt() if _received is None else Terminated(_received)


def exit_code(interrupted: BaseException) -> int:
    """As a shell has it: 128 and the signal's number, 130 after Ctrl-C."""
    number = interrupted.signal if isinstance(interrupted, Terminated) else signal.SIGINT
    return 128 + number


def _raise(number: int, frame: FrameType | None) -> None:
    global _received, _raised_at
    now = time.monotonic()
    if _received is None or now - _raised_at > AGAIN_S:
        _received, _raised_at = _received or signal.Signals(number), now
        raise Terminated(_received)
