"""CUDA graphs on a CPU: what ran while a graph was captured runs again, into the same memory, when it is replayed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class FakeGraph:
    """As `torch.cuda.CUDAGraph`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        for function, args, kwargs, results in self.calls:
            for old, new in zip(results, _tensors(function(*args, **kwargs)), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class _Recorder(TorchDispatchMode):
    def __init__(self, graph: FakeGraph) -> None:
        super().__init__()
        self.graph = graph

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default):
            raise RuntimeError(f"{function}: nothing may wait for the device while a graph is captured")
        result = function(*args, **(kwargs or {}))
        self.graph.calls.append((function, args, kwargs or {}, _tensors(result)))
        return result


def _tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]


@contextmanager
def _capture(graph: FakeGraph, **options: Any) -> Iterator[None]:
    with _Recorder(graph):
        yield


def install(patch: pytest.MonkeyPatch) -> list[FakeGraph]:
    """Put these graphs in the place of CUDA's. Returns those that will be made."""
    made: list[FakeGraph] = []

    def graph() -> FakeGraph:
        made.append(FakeGraph())
        return made[-1]

    stream = SimpleNamespace(wait_stream=lambda other: None)
    patch.setattr(torch.cuda, "CUDAGraph", graph)
    patch.setattr(torch.cuda, "graph", _capture)
    patch.setattr(torch.cuda, "Stream", lambda: stream)
    patch.setattr(torch.cuda, "current_stream", lambda *device: stream)
    patch.setattr(torch.cuda, "stream", lambda one: nullcontext())
    patch.setattr(torch.cuda, "device", lambda one: nullcontext())
    return made
