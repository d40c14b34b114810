"""Peak memory of a job: of the process on a CPU, of the allocators on GPUs."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak() -> None:
    """Forget the peaks of what ran before in this process. On a CPU only Linux can."""
    if torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(index)
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # see proc(5): resets VmHWM


def peak_mb(devices: Iterable[torch.device]) -> float:
    """The peak since `reset_peak`, in MiB; with several GPUs the sum of their peaks, what else there is left out."""
    gpus = {device for device in devices if device.type == "cuda"}
    if gpus:
        return sum(torch.cuda.max_memory_allocated(gpu) for gpu in gpus) / 2**20
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="utf-8"))
        if found:
            return int(found[1]) / 2**10
    import resource  # does not exist on Windows

    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
