"""Hydra's callback around a multirun: a line for each job that ends, one table over all of them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from math import prod
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from vsd.run import disk
from vsd.run.swept import asked
from vsd.utils import distributed


class Summary(Callback):
    """Prints the table and writes summary.csv. The exit code is 1 when a job failed, which is known only now: a job
    that fails leaves error.txt and lets the others run."""

    def __init__(self) -> None:
        # A cluster's job is in a process of its own, which has begun no multirun.
        self._began, self._total, self._swept = 0.0, 0, frozenset[str]()
        self._since = 0.0  # when it began, by the clock that gives its folder's files their times
        self._planned_s = list[float | None]()

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._began = time.time()
        with suppress(HydraException):  # a glob takes all options of a group, which are not known here
            overrides = asked(config.hydra.sweeper.get("params"), config.hydra.overrides.task)
            self._total, self._swept = jobs_of(overrides), swept(overrides)
        if "dry_run" in self._swept:  # what is written is decided once for all jobs
            print("error: dry_run: must have one value for all jobs, got several", file=sys.stderr)
            sys.exit(2)
        self._since = self._began
        if not config.dry_run and distributed.rank() == 0:
            with suppress(OSError):  # OutFolder says it
                Path(config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
                with TemporaryFile(dir=config.hydra.sweep.dir) as file:
                    self._since = os.fstat(file.fileno()).st_mtime

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if config.hydra.mode != RunMode.MULTIRUN or distributed.rank() > 0:
            return
        from rich.console import Console

        from vsd.run.report.line import job_line

        metrics = job_return._return_value if isinstance(job_return._return_value, dict) else None
        self._planned_s.append(None if metrics is None else metrics.get("dry_run/seconds", 0.0))
        own = [each for each in job_return.overrides or () if each.split("=")[0] in self._swept]
        spent_s = time.time() - self._began if self._began else None
        Console().print(job_line(int(config.hydra.job.num), self._total, own, metrics, spent_s))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        if distributed.rank() > 0:
            return
        if config.dry_run:
            self._end_of_dry_runs()
            return
        # Every run imports this file; only the end of a multirun needs these.
        from rich.console import Console

        from vsd.run.report import sweep

        folder = Path(config.hydra.sweep.dir)
        jobs = sweep.jobs(folder, since=self._since)
        file = folder / "summary.csv"
        console = Console()
        console.print(sweep.screen(jobs))
        try:
            with disk.writing(file):
                file.write_text(sweep.summary_csv(jobs), encoding="utf-8")
        except disk.CannotWrite as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        console.print(f"[dim]files[/]  {file}")
        if not sweep.ended_well(jobs):
            sys.exit(1)

    def _end_of_dry_runs(self) -> None:
        """What all jobs of a dry run would take; the exit code is 1 when one was refused."""
        from rich.console import Console

        known = [seconds for seconds in self._planned_s if seconds]
        if known and len(known) == len(self._planned_s):
            one_by_one, longest = (timedelta(seconds=round(seconds)) for seconds in (sum(known), max(known)))
            Console().print(f"[bold]{len(known)} jobs[/]  {one_by_one} one after the other, {longest} all at once")
        if None in self._planned_s:
            sys.exit(1)


def jobs_of(overrides: Sequence[str]) -> int:
    """How many jobs a sweep over these overrides has."""
    return prod(len(list(each.sweep_iterator())) for each in _sweeps(overrides))


def swept(overrides: Sequence[str]) -> frozenset[str]:
    """The dials that it varies."""
    return frozenset(each.get_key_element() for each in _sweeps(overrides))


def _sweeps(overrides: Sequence[str]) -> list[Override]:
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return [each for each in parsed if each.is_sweep_override()]
