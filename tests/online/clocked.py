"""``vsd`` with a clock on what it does about W&B: the seconds are written to the file that VSD_SPENT names."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from vsd import cli
from vsd.run.tracking.tracker import Tracker

spent_s = 0.0


def clocked(work: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(work)
    def timed(*args: Any, **named: Any) -> Any:
        global spent_s
        began = time.monotonic()
        try:
            return work(*args, **named)
        finally:
            spent_s += time.monotonic() - began
            Path(os.environ["VSD_SPENT"]).write_text(f"{spent_s}")

    return timed


for name in ("begin", "add", "end", "close"):
    setattr(Tracker, name, clocked(getattr(Tracker, name)))
sys.exit(cli.main())
