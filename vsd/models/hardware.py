"""The devices that a run counts on: this machine's, or within `planned` those of another one that is not here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import psutil
import torch

from vsd.utils import distributed


@dataclass(frozen=True, kw_only=True)
class GPUs:
    """So many GPUs of `memory` bytes each; of `kind` of `vsd.step_times.devices`."""

    count: int
    kind: str
    memory: int


_PLANNED: ContextVar[GPUs | None] = ContextVar("planned", default=None)


@contextmanager
def planned(gpus: GPUs | None) -> Iterator[None]:
    """Within, these GPUs stand for those of this machine; what memory its CPU has is not known. None: this machine."""
    token = _PLANNED.set(gpus)
    try:
        yield
    finally:
        _PLANNED.reset(token)


def gpu_count() -> int:
    """How many GPUs there are."""
    plan = _PLANNED.get()
    return torch.cuda.device_count() if plan is None else plan.count


def processes() -> int:
    """How many processes share a model with a tensor-parallel plan: those of torchrun; of a machine that is planned,
    one for each GPU."""
    plan = _PLANNED.get()
    return distributed.count() if plan is None else plan.count


def is_there(device: torch.device) -> bool:
    """Whether something can be computed on this device."""
    plan = _PLANNED.get()
    if plan is not None:
        return device.type == "cpu" or (device.type == "cuda" and (device.index or 0) < plan.count)
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        return False
    return True


def free_memory(devices: Iterable[str]) -> dict[str, int]:
    """Free bytes by device, for those of which they are known: GPUs, and the CPU."""
    plan, free_bytes = _PLANNED.get(), {}
    for name in devices:
        device = torch.device(name)
        if plan is not None:
            if device.type == "cuda":
                free_bytes[name] = plan.memory
        elif device.type == "cuda":
            kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # free to this process
            free_bytes[name] = torch.cuda.mem_get_info(device)[0] + kept
        elif device.type == "cpu":
            free_bytes[name] = psutil.virtual_memory().available
    return free_bytes
