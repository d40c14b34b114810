"""Where the jobs of a multirun run: Slurm, or processes of this machine. Both by submitit."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vsd.run.app import UsageError
from vsd.run.cluster import slurm
from vsd.run.cluster.slurm import Status
from vsd.utils.validation import first_line, require_whole

if TYPE_CHECKING:
    from submitit import Job as SubmittedJob

    from vsd.run.cluster.job import Job

LOGS = ".submitit"


class Pool(Protocol):
    """`submit` gives each job's id, `statuses` what is known of each."""

    name: str

    def submit(self, jobs: Sequence[Job], sweep: Path, code: str) -> list[str]: ...

    def statuses(self, jobs: Collection[str]) -> dict[str, Status]: ...


@dataclass
class Slurm:
    """One array of jobs for each submission, by sbatch. `params` are submitit's."""

    params: Mapping[str, Any]
    name: str = "slurm"

    def __post_init__(self) -> None:
        if shutil.which("sbatch") is None:
            raise UsageError("hydra/launcher: must be another than slurm where there is no sbatch, got slurm")
        limit_s, delay_s = 60 * self.params["timeout_min"], self.params["signal_delay_s"]
        if delay_s > limit_s - 60:
            raise UsageError(
                f"hydra.launcher.signal_delay_s: must leave a job a minute of its {limit_s} s "
                f"(hydra.launcher.timeout_min), got {delay_s}"
            )

    def submit(self, jobs: Sequence[Job], sweep: Path, code: str) -> list[str]:
        """Raises UsageError for what sbatch refuses."""
        own = dict(self.params)
        more = {"requeue": True, **(own.pop("additional_parameters", None) or {})}
        lines = [*slurm.SETUP, *(own.pop("setup", None) or ())]
        own |= {"additional_parameters": more, "setup": lines, "teardown": [*slurm.TEARDOWN]}
        executor = _executor("slurm", sweep, code, own)
        try:
            return [str(job.job_id) for job in executor.submit_array(jobs)]
        except Exception as error:  # submitit wraps what sbatch has said
            said = [line for line in str(error).splitlines() if line.strip().startswith("sbatch: error")]
            raise UsageError(f"hydra.launcher: must be what sbatch takes, got {said[0] if said else error}") from error

    def statuses(self, jobs: Collection[str]) -> dict[str, Status]:
        return slurm.statuses(jobs)


@dataclass
class Local:
    """Processes of this machine, at most `at_once` at a time (None: all). They end with this one on Ctrl-C."""

    params: Mapping[str, Any]
    name: str = "local"
    _waiting: list[tuple[str, Job]] = field(default_factory=list)
    _begun: dict[str, SubmittedJob[Any]] = field(default_factory=dict)
    _executor: Any = None
    _at_once: int | None = None

    def submit(self, jobs: Sequence[Job], sweep: Path, code: str) -> list[str]:
        own = dict(self.params)
        self._at_once = own.pop("array_parallelism", None)
        if self._at_once is not None:
            require_whole("hydra.launcher.array_parallelism", self._at_once, least=1)
        self._executor = _executor("local", sweep, code, own)
        self._waiting = [(f"{job.number}", job) for job in jobs]
        return [name for name, _ in self._waiting]

    def statuses(self, jobs: Collection[str]) -> dict[str, Status]:
        """Begins those that there is room for, too."""
        running = sum(not job.done() for job in self._begun.values())
        while self._waiting and (self._at_once is None or running < self._at_once):
            name, job = self._waiting.pop(0)
            self._begun[name] = self._executor.submit(job)
            running += 1
        return {name: self._status(name) for name in jobs}

    def _status(self, name: str) -> Status:
        job = self._begun.get(name)
        if job is None:
            return Status("PENDING")
        if not job.done():
            return Status("RUNNING")
        return Status("COMPLETED" if job.paths.result_pickle.exists() else "FAILED")


def _executor(cluster: str, sweep: Path, code: str, params: Mapping[str, Any]) -> Any:
    """submitit's, whose jobs import vsd from the snapshot `code`, if there is one, and nothing from the folder they
    begin in. Raises UsageError for a parameter that it does not take."""
    from submitit import AutoExecutor
    from submitit.core.core import Executor

    python = [sys.executable, "-P"]
    if code:
        python = ["env", f"PYTHONPATH={_first(code)}", *python]
    own = {f"{cluster}_python": shlex.join(python)}
    executor: Executor = AutoExecutor(folder=sweep / LOGS / "%j", cluster=cluster, **own)
    generic = AutoExecutor._typed_parameters()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            executor.update_parameters(
                **{name if name in generic else f"{cluster}_{name}": value for name, value in params.items()}
            )
    except (AssertionError, NameError, TypeError, ValueError) as error:
        raise UsageError(f"hydra.launcher: must be what submitit takes, got: {first_line(error)}") from error
    return executor


def _first(code: str) -> str:
    others = os.environ.get("PYTHONPATH")
    return f"{code}{os.pathsep}{others}" if others else code
