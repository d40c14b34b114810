"""Values in a form that quickly crosses a pipe: a tensor itself would be sent through shared memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor


class _Array(NamedTuple):
    """What was a tensor; `bits`: of bfloat16, which numpy does not have."""

    array: NDArray[Any]
    bits: bool


class _Fields(NamedTuple):
    """What was a dataclass of this type."""

    type: type
    fields: dict[str, Any]


def packed(value: Any) -> Any:
    """The value as it is sent: tensors, and mappings and dataclasses that hold some, in another form."""
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
    if isinstance(value, _Array):
        tensor = torch.from_numpy(value.array)
        return tensor.view(torch.bfloat16) if value.bits else tensor
    if isinstance(value, _Fields):
        return value.type(**{name: unpacked(part) for name, part in value.fields.items()})
    if isinstance(value, dict):
        return {name: unpacked(part) for name, part in value.items()}
    return value
