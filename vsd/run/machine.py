"""What measured times depend on beside the hardware: how busy the machine was with others, and its clock."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

from vsd.run import provenance

BUSY = 0.5
"""The share of the cores that others may use before measured speeds are said to suffer."""
SLOWER = 0.1
"""The share by which a clock may differ."""
SHORTEST_S = 0.2
"""Of a time over which CPU time is counted, in ticks of 10 ms."""


@dataclass(frozen=True, kw_only=True)
class MachineState:
    """While something was measured: `load`, the system's average of a minute, which holds our own work too; `others`,
    the cores that other programs kept busy; `mhz`, the clock of the fastest core, and `gpu_mhz`, of the first GPU. None
    where nobody knows."""

    load: float | None = None
    others: float | None = None
    mhz: float | None = None
    gpu_mhz: float | None = None


class MachineMeter:
    """Looks at this machine from time to time."""

    def __init__(self) -> None:
        self._before = _seconds()
        self._others: float | None = None

    def look(self) -> MachineState:
        """The state of the time since the last look."""
        now = _seconds()
        wall, busy, ours = (after - before for after, before in zip(now, self._before, strict=True))
        if wall >= SHORTEST_S:
            self._others, self._before = round(max(0.0, busy - ours) / wall, 2), now
        return MachineState(load=provenance.load(), others=self._others, mhz=_mhz(), gpu_mhz=_gpu_mhz())


def is_busy(state: MachineState) -> bool:
    """Whether others use so much of this machine that measured speeds suffer."""
    return state.others is not None and state.others >= BUSY * (os.cpu_count() or 1)


def busy(state: MachineState, *, past: bool = False) -> str:
    """That others are, or were, at work here, as a sentence; empty if they are not."""
    if not is_busy(state):
        return ""
    used = f"{_cores(state.others)} of {os.cpu_count()} cores"
    if past:
        return f"this machine was busy (others used {used} during the run): measured speeds are off"
    return f"this machine is busy (others use {used}): measured speeds will be off"


def unlike(then: MachineState, now: MachineState) -> str:
    """Why times of these two states cannot be held against each other, as a sentence; empty if they can."""
    said = []
    if is_busy(then) or is_busy(now):
        said.append(f"others kept {_cores(then.others)} of {os.cpu_count()} cores busy, now {_cores(now.others)}")
    for what, before, after in (("CPU", then.mhz, now.mhz), ("GPU", then.gpu_mhz, now.gpu_mhz)):
        if before and after and abs(after - before) > SLOWER * max(before, after):
            said.append(f"the {what}'s clock was {before:.0f} MHz, now {after:.0f}")
    return "; ".join(said)


def _cores(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}"


def _seconds() -> tuple[float, float, float]:
    """Seconds of the clock on the wall, those that all cores were busy, and those that they were busy for this process
    and what it has started."""
    all_cores = psutil.cpu_times()
    idle = all_cores.idle + getattr(all_cores, "iowait", 0.0)
    guests = getattr(all_cores, "guest", 0.0) + getattr(all_cores, "guest_nice", 0.0)  # counted as user time too
    process = psutil.Process()
    ours = sum(process.cpu_times()[:4])  # with children that have ended
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            ours += sum(child.cpu_times()[:2])
    return time.monotonic(), sum(all_cores) - idle - guests, ours


def _mhz() -> float | None:
    """The clock of the core that works hardest."""
    try:
        return max((float(core.current) for core in psutil.cpu_freq(percpu=True)), default=None)
    except (OSError, AttributeError, NotImplementedError):
        return None


def _gpu_mhz() -> float | None:
    """Of the first GPU that this process computes on; NVIDIA's library for it is optional."""
    import torch

    if not torch.cuda.is_initialized():
        return None
    try:
        return float(torch.cuda.clock_rate())
    except (ModuleNotFoundError, RuntimeError):
        return None
