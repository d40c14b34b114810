"""Devices that are not there: tensors tagged `cpu:1`, `cpu:2`, ... that compute on the CPU and refuse to mix.

What a GPU refuses is refused here too: an operation takes tensors of one device, save numbers (tensors without a
dimension on the plain CPU), indices on the plain CPU, and copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

CPU = torch.device("cpu")
aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)
INDEXING = (aten.index.Tensor, aten.index_put_.default, aten._unsafe_index.Tensor, aten._index_put_impl_.default)


class Placed(Tensor):
    """A tensor on a device that is not there."""

    held: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, device: torch.device) -> Placed:
        maker: Any = Tensor
        placed: Placed = maker._make_wrapper_subclass(
            cls, inner.shape, inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=device
        )
        return placed

    def __init__(self, inner: Tensor, device: torch.device) -> None:
        self.held = inner

    def tolist(self) -> Any:
        return self.held.tolist()

    __repr__: Any = lambda placed, **_: f"Placed({placed.held!r}, {placed.device})"
    __torch_dispatch__: Any = classmethod(lambda cls, *call: _outside(*call))


def _outside(function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """What is called outside the mode; inside it the mode comes first."""
    return _run(function, args, kwargs or {})


@contextmanager
def devices() -> Iterator[None]:
    """While it is entered, tensors can be made on, and moved to, `cpu:1`, `cpu:2`, ..."""
    plain = torch.tensor

    def tensor(data: Any, **options: Any) -> Tensor:
        if isinstance(data, list) and any(isinstance(each, Placed) for each in data):
            data = [float(each) if each.is_floating_point() else int(each) for each in data]  # not from their memory
        device = options.pop("device", None)
        made = plain(data, **options)
        return made if device is None else made.to(device)

    # Tensors made outside of inference mode cannot be viewed inside.
    with patch.object(torch, "tensor", tensor), torch.inference_mode(), _Devices():
        yield


class _Devices(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function._can_decompose():  # inference mode hands over operations that are made of others
            with self:
                return function.decompose(*args, **(kwargs or {}))
        return _run(function, args, kwargs or {})


def _run(function: Any, args: Any, kwargs: Any) -> Any:
    tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
    place = _place(function, tensors)
    if "device" in kwargs and kwargs["device"] is not None:
        place = torch.device(kwargs["device"])
        kwargs = {**kwargs, "device": CPU}
    wrappers = {id(each.held): each for each in tensors if isinstance(each, Placed)}
    args, kwargs = tree_map(_inner, (args, kwargs))
    result = function(*args, **kwargs)

    def outer(value: Any) -> Any:
        if not isinstance(value, Tensor) or place.index is None:
            return value
        return wrappers[id(value)] if id(value) in wrappers else Placed(value, place)

    return tree_map(outer, result)


def _place(function: Any, tensors: list[Tensor]) -> torch.device:
    if function in COPIES or function in INDEXING:
        first, rest = tensors[0].device, tensors[1:]
        mixed = {each.device for each in rest if each.device != first and each.device.index is not None}
        if function in INDEXING and mixed:
            raise RuntimeError(f"{function}: indices on {mixed}, the tensor on {first}")
        return first
    places = {each.device for each in tensors if each.dim() or each.device.index is not None}
    if len(places) > 1:
        raise RuntimeError(f"{function}: tensors on {sorted(map(str, places))}")
    return places.pop() if places else CPU


def _inner(value: Any) -> Any:
    return value.held if isinstance(value, Placed) else value
