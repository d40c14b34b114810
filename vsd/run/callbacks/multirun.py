"""Hydra's callback at the end of a multirun: one table over its jobs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vsd.run import disk
from vsd.utils import distributed


class Summary(Callback):
    """Prints the table and writes summary.csv. The exit code is 1 when a job failed, which is known only now: a job
    that fails leaves error.txt and lets the others run."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._began = time.time()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        if distributed.rank() > 0:
            return
        # Every run imports this file; only the end of a multirun needs these.
        from rich.console import Console

        from vsd.run.report import sweep

        folder = Path(config.hydra.sweep.dir)
        jobs = sweep.jobs(folder, since=self._began)
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
