"""Hydra's callback before a run and between jobs: a folder that Hydra cannot write to is a traceback of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from vsd.run import disk
from vsd.utils import distributed


class OutFolder(Callback):
    """Refuses a run folder, or a multirun's, that cannot be written to: one line, exit code 2; 1 if the disk is
    full after one of its jobs."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        _check(config, config.hydra.run.dir, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        _check(config, config.hydra.sweep.dir, "hydra.sweep.dir")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if config.hydra.mode == RunMode.MULTIRUN:
            _check(config, config.hydra.sweep.dir, "hydra.sweep.dir", exit_code=1)


def _check(config: DictConfig, folder: str, field: str, *, exit_code: int = 2) -> None:
    if distributed.rank() > 0:
        return
    named = "out" if Path(folder) == Path(str(config.out)) else field
    try:
        disk.check_folder(folder, field=named)
    except ValueError as error:
        # Hydra turns an exception of a callback into a warning.
        print(f"error: {error}", file=sys.stderr)
        sys.exit(exit_code)
