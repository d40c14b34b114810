"""Reading in a process of its own: a file over which a decoder hangs or dies costs its own sample, not the run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from vsd.types import WHOLE, Span, Video
from vsd.utils.child_process import ChildDied, ChildError, ChildProcess, ChildTimeout, send_stream
from vsd.utils.validation import reason
from vsd.video.base import BadVideo
from vsd.video.reading import Scaling, Shown, collect, stream

_BEAT_S = 1.0  # between two signs of life
_START_S = 60.0  # to import what it needs


class ReaderProcess:
    """Reads videos as `vsd.video.read` does, in a process that is started with the first and replaced when it is lost.

    Raises BadVideo for a file of which nothing more comes for `timeout_s` seconds, and for one over which the process
    dies. `close` it in the end; it ends with this process in any case.
    """

    def __init__(self, *, reader: str = "auto", timeout_s: float = 60.0) -> None:
        self._reader = reader
        self._timeout_s = timeout_s
        self._child = ChildProcess(serve, name="vsd-reader")

    def read(self, path: str | Path, frames: int, *, span: Span = WHOLE, scaling: Scaling | None = None) -> Video:
        """See `vsd.video.read`. The frames are scaled at this end."""
        return collect(path, self._events(path, frames, span), scaling)

    def measure(self, path: str | Path, span: Span = WHOLE) -> tuple[int, int, int]:
        """See `vsd.video.measure`."""
        *_, shown = self._shown(path, span)
        return shown.total, shown.height, shown.width

    def close(self) -> None:
        """End the process."""
        self._child.close()

    def _shown(self, path: str | Path, span: Span) -> list[Shown]:
        """What is said before any frame, to the end: a process that is left in the midst of a file is lost."""
        return [event for event in self._events(path, 0, span) if isinstance(event, Shown)]

    def _events(self, path: str | Path, frames: int, span: Span) -> Iterator[Shown | NDArray[np.uint8]]:
        self._start(path)
        try:
            yield from self._received(path, frames, span)
        except ChildTimeout as error:
            raise BadVideo(path, f"reading it stands still for {self._timeout_s:g} s (video.timeout_s)") from error
        except ChildDied as error:
            raise BadVideo(path, f"its reader died over it ({error})") from error
        except GeneratorExit:
            self._child.kill()  # what it still says would be taken for the next file's
            raise

    def _start(self, path: str | Path) -> None:
        """Have a process that waits for a file."""
        if self._child.alive:
            return
        self._child.start()
        try:
            self._child.receive(_START_S)
        except ChildError as error:
            raise BadVideo(path, f"the process that reads videos does not start ({error})") from error

    def _received(self, path: str | Path, frames: int, span: Span) -> Iterator[Shown | NDArray[np.uint8]]:
        self._child.send((str(path), frames, span, self._reader), self._timeout_s)
        pixels = np.empty(0, dtype=np.uint8)
        while (message := self._child.receive(self._timeout_s)) != _END:
            if isinstance(message, BadVideo):
                raise message
            if isinstance(message, Shown):
                pixels = np.empty((message.height, message.width, 3), dtype=np.uint8)
                yield message
            elif message == _FRAME:
                self._child.receive_into(pixels, self._timeout_s)
                yield pixels


_FRAME, _END, _BEAT, _READY = "frame", "end", "beat", "ready"


def serve(pipe: Connection) -> None:
    """The process's whole life: read the files it is told of, one after the other."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what decoders say of damaged files; the reason reaches the user
    pipe.send(_READY)
    while True:
        path, frames, span, reader = pipe.recv()
        try:
            for event in stream(path, frames, span=span, reader=reader, alive=_Beat(pipe)):
                if isinstance(event, Shown):
                    pipe.send(event)
                else:
                    pixels = np.ascontiguousarray(event)  # before it is announced: nothing but its bytes may follow
                    pipe.send(_FRAME)
                    send_stream(pipe, pixels)
        except BadVideo as error:
            pipe.send(error)
        except ConnectionError:
            raise
        except Exception as error:
            pipe.send(BadVideo(path, f"it cannot be read: {reason(error)}"))
        else:
            pipe.send(_END)


class _Beat:
    """Says from time to time that work goes on."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._last = perf_counter()

    def __call__(self) -> None:
        if perf_counter() - self._last > _BEAT_S:
            self._pipe.send(_BEAT)
            self._last = perf_counter()
