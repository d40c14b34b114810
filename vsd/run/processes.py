"""Whether the process of a job is still there."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import psutil

_CLOCK_S = 5.0  # by which the times of a process and of its first file may differ


def is_alive(job: Mapping[str, Any]) -> bool | None:
    """Whether a job, as its provenance tells of it, is at work; None for one of another machine. The number of a
    process that has ended may be another's now, which has begun later."""
    pid = job.get("pid")
    if job.get("host") != platform.node() or not isinstance(pid, int):
        return None
    try:
        began = psutil.Process(pid).create_time()
    except psutil.Error:
        return False
    with suppress(TypeError, ValueError):
        return bool(began <= datetime.fromisoformat(str(job["time"])).timestamp() + _CLOCK_S)
    return True
