"""The CUDA streams of a thread that works beside another one, and the events by which each waits for the other.

Work that is put on a stream runs later, so a tensor that another thread hands over may not be written yet. The order is
said to the device, and no thread waits for it: the streams of the one who works wait for what the other had put on its
own when it handed the work over, and the streams of whoever takes the result wait for what made it. A tensor that
crosses is recorded on the streams that read it, so that its memory is not given away before they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor


class Streams:
    """One stream of the thread's own on each CUDA device that it works on. Without such a device nothing is done.

    `devices` are known beforehand, those of tensors that are handed over are added. `cuda` is the library: tests bring
    their own.
    """

    def __init__(self, devices: Iterable[torch.device], cuda: Any = torch.cuda) -> None:
        self._cuda = cuda
        self._own: dict[torch.device, Any] = {}
        self._add(devices)

    def hand_over(self, *values: Any) -> Piece:
        """A piece of work, on the thread that asks for it; `values` are what it works on."""
        self._add(tensor.device for tensor in tensors(values))
        return Piece(dict(self._own), list(tensors(values)) if self._own else [], self._cuda)

    def _add(self, devices: Iterable[torch.device]) -> None:
        for device in devices:
            if device.type == "cuda" and device not in self._own:
                self._own[device] = self._cuda.Stream(device)


class Piece:
    """One piece of work between two threads: `working` on the one that does it, `taken` on the one that waits."""

    def __init__(self, own: Mapping[torch.device, Any], given: list[Tensor], cuda: Any) -> None:
        self._own, self._given, self._cuda = own, given, cuda
        self._began = {device: cuda.current_stream(device).record_event() for device in own}
        self._done: dict[torch.device, Any] = {}

    @contextmanager
    def working(self) -> Iterator[None]:
        """The thread's own streams are the current ones inside, and wait for those of the other thread."""
        for device, stream in self._own.items():
            stream.wait_event(self._began[device])
        for tensor in self._given:
            if tensor.device in self._own:
                tensor.record_stream(self._own[tensor.device])
        self._given = []
        with ExitStack() as stack:
            for stream in reversed(list(self._own.values())):  # the first device ends up as the current one
                stack.enter_context(self._cuda.stream(stream))
            yield
            self._done = {device: stream.record_event() for device, stream in self._own.items()}

    def taken(self, result: Any) -> None:
        """To be called by the thread that takes the result, before it reads it."""
        for device, done in self._done.items():
            self._cuda.current_stream(device).wait_event(done)
        if self._done:
            for tensor in tensors(result):
                if tensor.device.type == "cuda":
                    tensor.record_stream(self._cuda.current_stream(tensor.device))


class Result(Future[Any]):
    """The result of a piece of work: whoever takes it has its streams wait for what made it."""

    def __init__(self, job: Future[Any], piece: Piece) -> None:
        super().__init__()
        self._job, self._piece = job, piece

    def result(self, timeout: float | None = None) -> Any:
        value = self._job.result(timeout)
        self._piece.taken(value)
        return value


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in a value: itself, or those of its fields or elements."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from tensors(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)
