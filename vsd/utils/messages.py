"""Values in a form that quickly crosses to another process of this machine.

What is small crosses the pipe as bytes: a tensor itself would be sent through shared memory, which takes longer to set
up. From LARGE bytes on (frames, the target's prompt) that pays: the other process maps the sender's memory.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LARGE = 1 << 22  # bytes; measured by experiments.speed.crossing


class _Array(NamedTuple):
    """What was a tensor; `bits`: of bfloat16, which numpy does not have."""

    array: NDArray[Any]
    bits: bool


class _Mapped(NamedTuple):
    """An array in memory that the process `pid` has open as `file`; what it was: a tensor (see `_Array`) or an
    array."""

    pid: int
    file: int
    shape: tuple[int, ...]
    dtype: str
    bits: bool
    is_tensor: bool


class _Fields(NamedTuple):
    """What was a dataclass of this type."""

    type: type
    fields: dict[str, Any]


class Blocks:
    """Memory that another process may map: what is put there stays until `release`, and in that process for as long as
    it uses it. It has no name, so that nothing is left when both have ended, and no size but memory's."""

    def __init__(self) -> None:
        self._files = list[int]()

    def put(self, value: Tensor | NDArray[Any]) -> _Mapped:
        """A copy of the value."""
        array, bits = _as_array(value) if isinstance(value, Tensor) else (value, False)
        array = np.ascontiguousarray(array)
        file = os.memfd_create("vsd")
        self._files.append(file)
        with open(file, "wb", closefd=False) as stream:
            stream.write(array.reshape(-1).view(np.uint8).data)
        return _Mapped(os.getpid(), file, array.shape, array.dtype.str, bits, isinstance(value, Tensor))

    def release(self) -> None:
        """Let go of it."""
        while self._files:
            os.close(self._files.pop())


def packed(value: Any, blocks: Blocks | None = None) -> Any:
    """The value as it is sent: tensors, and mappings and dataclasses that hold some, in another form. With `blocks`
    large tensors and arrays are put there."""
    if blocks is not None and isinstance(value, Tensor | np.ndarray) and value.nbytes >= LARGE:
        with suppress(OSError):  # no file, or no memory, is left: the pipe takes it
            return blocks.put(value)
    if isinstance(value, Tensor):
        return _Array(*_as_array(value))
    if isinstance(value, Mapping):
        return {name: packed(part, blocks) for name, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return _Fields(type(value), {each.name: packed(getattr(value, each.name), blocks) for each in fields(value)})
    return value


def unpacked(value: Any) -> Any:
    """What `packed` was given. Raises OSError where the sender's memory cannot be mapped."""
    if isinstance(value, _Array):
        return _as_tensor(value.array, bits=value.bits)
    if isinstance(value, _Mapped):
        with open(f"/proc/{value.pid}/fd/{value.file}", "rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # it may be written to, here alone
        array = np.frombuffer(memory, dtype=value.dtype).reshape(value.shape)
        return _as_tensor(array, bits=value.bits) if value.is_tensor else array
    if isinstance(value, _Fields):
        return value.type(**{name: unpacked(part) for name, part in value.fields.items()})
    if isinstance(value, dict):
        return {name: unpacked(part) for name, part in value.items()}
    return value


def probe(blocks: Blocks) -> Any:
    """Something that `arrives` can look at in another process; None where there is no such memory."""
    if not hasattr(os, "memfd_create"):  # Linux alone has it
        return None
    return blocks.put(np.arange(3))


def arrives(sent: Any) -> bool:
    """Whether what a process has put there can be mapped in this one."""
    try:
        return sent is not None and unpacked(sent).tolist() == [0, 1, 2]
    except (OSError, ValueError):
        return False


def _as_array(tensor: Tensor) -> tuple[NDArray[Any], bool]:
    bits = tensor.dtype is torch.bfloat16
    return (tensor.view(torch.int16) if bits else tensor).cpu().numpy(), bits


def _as_tensor(array: NDArray[Any], *, bits: bool) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if bits else tensor
