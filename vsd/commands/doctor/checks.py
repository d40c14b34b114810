"""What a check is, and what it may look at."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

from vsd.data.small_events import SmallEvents
from vsd.models import Checkpoint, VideoLM
from vsd.run.memory import release
from vsd.types import Dtype, Sample, Video
from vsd.video import read

SHORTEST = 32  # frames of the shortest bundled clips
OK, FAILED, SKIPPED = "ok", "failed", "skipped"


class Skipped(Exception):  # noqa: N818 - an outcome
    """A check that says nothing here, with the reason."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where the checks run. `full`: all combinations instead of a few; `large`: with models of a real size."""

    device: torch.device
    full: bool = False
    large: bool = False

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    def needs_cuda(self) -> None:
        """Raise Skipped on another device."""
        if not self.cuda:
            raise Skipped(f"needs a CUDA device, got {self.device}")

    def wait(self) -> None:
        """Until all queued work is done."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], Any], times: int = 10) -> float:
        """Of one call, the best of three rounds of `times`, after one that does not count."""
        work()
        measured_s = []
        for _ in range(3):
            self.wait()
            start = time.perf_counter()
            for _ in range(times):
                work()
            self.wait()
            measured_s.append((time.perf_counter() - start) / times)
        return min(measured_s)

    def pair(self, family: str, dtype: Dtype) -> tuple[VideoLM, VideoLM]:
        """The bundled target of a family, and a draft of other wording, so that some of its tokens are refused."""
        return self.checkpoint(family, "target", dtype).load(), self.draft(family, dtype).load()

    def draft(self, family: str, dtype: Dtype) -> Checkpoint:
        """The draft of a pair, still to be loaded."""
        return self.checkpoint(family, "other", dtype)

    def checkpoint(self, family: str, role: str, dtype: Dtype) -> Checkpoint:
        """A bundled model that is still to be loaded."""
        field = "target" if role == "target" else "draft"
        return Checkpoint(path=f"zoo:{family}/{role}", device=str(self.device), dtype=dtype, field=field)

    @property
    def question(self) -> str:
        """About the video; the bundled models were taught to answer it at length."""
        return _sample().question

    def video(self) -> Video:
        """A bundled clip."""
        return _clip(SHORTEST if self.full else 4)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found: a line for a person, and numbers for a bug report."""

    said: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One check's outcome."""

    name: str
    status: str
    said: str
    seconds: float
    data: dict[str, Any] = field(default_factory=dict)


Check = Callable[[Machine], Finding]


def run(name: str, check: Check, machine: Machine) -> Line:
    """Run one check. Whatever it raises is an outcome too, and leaves no memory behind."""
    start = time.perf_counter()
    data: dict[str, Any] = {}
    try:
        finding = check(machine)
        status, said, data = OK, finding.said, finding.data
    except Skipped as error:
        status, said = SKIPPED, str(error)
    except Exception as error:
        status, said = FAILED, f"{type(error).__name__}: {str(error).strip() or 'no message'}"
        data = {"traceback": traceback.format_exception(error)}
        release(error)
    release()
    return Line(name=name, status=status, said=said, seconds=round(time.perf_counter() - start, 2), data=data)


def require(holds: bool, message: str) -> None:
    """Raise RuntimeError unless it holds."""
    if not holds:
        raise RuntimeError(message)


def milliseconds(values: Sequence[float]) -> str:
    """Seconds, as a person reads them."""
    return ", ".join(f"{1000 * value:.3g}" for value in values) + " ms"


@cache
def _sample() -> Sample:
    return SmallEvents(frames=SHORTEST).samples()[0]


@cache
def _clip(frames: int) -> Video:
    return read(_sample().video, frames=frames)
