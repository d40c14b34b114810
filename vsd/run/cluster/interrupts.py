"""Ctrl-C that has to wait: between a submission and its record it would have jobs submitted twice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def postponed(*numbers: signal.Signals) -> Iterator[None]:
    """Within, these signals do nothing, also to processes that are begun here and for as long as those live. One that
    has come acts at the end. In another thread than the main one nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = list[int]()

    def remember(number: int, frame: FrameType | None) -> None:  # another thread may take what this one blocks
        came.append(number)

    before = {number: signal.signal(number, remember) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
