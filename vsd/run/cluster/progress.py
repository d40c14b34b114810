"""How far the jobs of a sweep are, by their folders."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vsd.run import provenance

if TYPE_CHECKING:
    from vsd.types import Sample

_WINDOW_S = 600.0  # of what was finished in it the pace is made


class Asked:
    """How many samples jobs are asked for. A data set is read once, whatever many jobs have it."""

    def __init__(self) -> None:
        self._known: dict[str, Sequence[Sample] | None] = {}

    def of(self, cfg: DictConfig) -> int | None:
        """None where that shows only when the job runs."""
        from vsd.data.base import select

        with suppress(Exception):  # the job says what is wrong with its data
            data = OmegaConf.to_yaml(cfg.data, resolve=True)
            if data not in self._known:
                self._known[data] = None
                self._known[data] = instantiate(cfg.data).samples()
            samples = self._known[data]
            return None if samples is None else len(select(samples, cfg.limit, cfg.shard))
        return None


@dataclass
class Finished:
    """The samples that a job has finished, those of an earlier job with the config that it was submitted with among
    them. Reads what was added to its file since."""

    folder: Path
    submitted: str  # the config's fingerprint
    _at: int = 0
    _ids: dict[str, set[str]] = field(default_factory=dict)

    def count(self) -> int:
        with suppress(OSError), (self.folder / "samples.jsonl").open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it is being written
                self._at += len(line)
                self._take(line)
        jobs = provenance.jobs_of(provenance.read(self.folder))
        own = [job for job in jobs if job.get("submitted", {}).get("config") == self.submitted]
        config = next((job["config"] for job in own if "config" in job), "")
        return len(self._ids.get(config, ()))

    def _take(self, line: bytes) -> None:
        with suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            self._ids.setdefault(row["config"], set()).add(row["id"])


@dataclass
class Pace:
    """Samples a minute, of the last ten minutes."""

    clock: Callable[[], float] = time.monotonic
    _seen: list[tuple[float, int]] = field(default_factory=list)

    def add(self, finished: int) -> None:
        """So many are finished now."""
        now = self.clock()
        self._seen.append((now, finished))
        while len(self._seen) > 2 and self._seen[0][0] < now - _WINDOW_S:
            self._seen.pop(0)

    @property
    def a_minute(self) -> float | None:
        """None while nothing was finished."""
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        return 60 * (last - first) / (now - began) if last > first and now > began else None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Jobs by what they do, and samples. `total` is None where a job does not know its own."""

    done: int
    running: int
    queued: int
    failed: int
    finished: int
    total: int | None
    a_minute: float | None

    @property
    def left(self) -> timedelta | None:
        """At the pace so far."""
        if self.total is None or not self.a_minute:
            return None
        return timedelta(minutes=(self.total - self.finished) / self.a_minute)

    def __str__(self) -> str:
        jobs = self.done + self.running + self.queued + self.failed
        of = "" if self.total is None else f" of {self.total}"
        parts = [
            f"{self.done} of {jobs} jobs done, {self.running} running, {self.queued} queued, {self.failed} failed",
            f"{self.finished}{of} samples",
        ]
        if self.a_minute:
            parts.append(f"{self.a_minute:.3g} a minute")
        if self.left is not None and self.running + self.queued:
            parts.append(f"{timedelta(seconds=round(self.left.total_seconds()))} left")
        return "; ".join(parts)


def ranges(numbers: Sequence[int]) -> str:
    """0, 1, 2, 5 as 0-2,5."""
    words = list[str]()
    for number in sorted(numbers):
        begin, _, end = (words[-1] if words else "").partition("-")
        if words and int(end or begin) == number - 1:
            words[-1] = f"{begin}-{number}"
        else:
            words.append(str(number))
    return ",".join(words)


def at_once(jobs: Sequence[str]) -> str:
    """Jobs of Slurm as scancel takes them: those of an array together."""
    arrays = dict[str, list[int]]()
    alone = [job for job in jobs if not re.fullmatch(r"\d+_\d+", job)]
    for job in jobs:
        array, _, task = job.partition("_")
        if task:
            arrays.setdefault(array, []).append(int(task))
    return " ".join([*alone, *(f"{array}_[{ranges(tasks)}]" for array, tasks in arrays.items())])
