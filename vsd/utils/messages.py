"""Values in a form that quickly crosses to another process of this machine.

What is small crosses the pipe as bytes: a tensor itself would be sent through shared memory, which takes longer to set
up. From LARGE bytes on (frames, the target's prompt) that pays, where there is room for it.
"""

from __future__ import annotations

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
_SHARED_MEMORY = "/dev/shm"  # where Linux has it; containers often have 64 MB of it, and more ends a process


class _Array(NamedTuple):
    """What was a tensor; `bits`: of bfloat16, which numpy does not have."""

    array: NDArray[Any]
    bits: bool


class _Shared(NamedTuple):
    """A tensor in shared memory, or what was an array."""

    tensor: Tensor
    is_array: bool


class _Fields(NamedTuple):
    """What was a dataclass of this type."""

    type: type
    fields: dict[str, Any]


def packed(value: Any) -> Any:
    """The value as it is sent: tensors and arrays, and mappings and dataclasses that hold some, in another form."""
    if isinstance(value, Tensor | np.ndarray) and value.nbytes >= LARGE and _has_room(value.nbytes):
        return _shared(value)
    if isinstance(value, Tensor):
        bits = value.dtype is torch.bfloat16
        return _Array((value.view(torch.int16) if bits else value).cpu().numpy(), bits)
    if isinstance(value, Mapping):
        return {name: packed(part) for name, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return _Fields(type(value), {field.name: packed(getattr(value, field.name)) for field in fields(value)})
    return value


def unpacked(value: Any) -> Any:
    """What `packed` was given."""
    if isinstance(value, _Shared):
        return value.tensor.numpy() if value.is_array else value.tensor
    if isinstance(value, _Array):
        tensor = torch.from_numpy(value.array)
        return tensor.view(torch.bfloat16) if value.bits else tensor
    if isinstance(value, _Fields):
        return value.type(**{name: unpacked(part) for name, part in value.fields.items()})
    if isinstance(value, dict):
        return {name: unpacked(part) for name, part in value.items()}
    return value


def _shared(value: Tensor | NDArray[Any]) -> _Shared:
    """A copy in shared memory, which is gone when nobody holds it any more, however that ends."""
    if isinstance(value, Tensor):
        return _Shared(value.detach().to("cpu", copy=True).share_memory_(), is_array=False)
    writeable = value if value.flags.writeable else value.copy()  # torch warns of any other
    return _Shared(torch.from_numpy(np.ascontiguousarray(writeable)).share_memory_(), is_array=True)


def _has_room(size: int) -> bool:
    """Whether shared memory holds so many bytes twice: a process that writes beyond its end is killed. Systems on
    which it is no file system of its own have as much as memory."""
    with suppress(OSError):
        found = os.statvfs(_SHARED_MEMORY)
        return found.f_bavail * found.f_frsize >= 2 * size
    return True
