"""Memory of a job: its peak, of the process on a CPU, of the allocators on GPUs; and what a failure leaves behind."""

from __future__ import annotations

import contextlib
import gc
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak() -> None:
    """Forget the peaks of what ran before in this process. On a CPU only Linux can."""
    if torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(index)
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # see proc(5): resets VmHWM


def release(error: BaseException | None = None) -> None:
    """Give back what nobody needs any more. The frames of an `error` that was dealt with hold the tensors that they
    worked on, and are held by it in a circle (a frame the future, the future the error, the error the frame): their
    variables are dropped."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            _clear(frame)
        error = error.__cause__ or error.__context__
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _clear(frame: FrameType | None) -> None:
    """Drop the variables of a frame and of those that called it, up to one that still runs."""
    with contextlib.suppress(RuntimeError):
        while frame is not None:
            frame.clear()
            frame = frame.f_back


def peak_mb(devices: Iterable[torch.device]) -> float:
    """The peak since `reset_peak`, in MiB; with several GPUs the sum of their peaks, what else there is left out."""
    gpus = {device for device in devices if device.type == "cuda"}
    if gpus:
        return sum(torch.cuda.max_memory_allocated(gpu) for gpu in gpus) / 2**20
    with contextlib.suppress(OSError):
        match = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="utf-8"))
        if match:
            return int(match[1]) / 2**10
    import resource  # does not exist on Windows

    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
