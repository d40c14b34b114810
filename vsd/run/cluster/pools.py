"""Where the jobs of a multirun run: Slurm, or processes of this machine. Both by submitit."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

import psutil
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vsd.run.app import UsageError
from vsd.run.cluster import slurm
from vsd.run.cluster.interrupts import postponed
from vsd.run.cluster.slurm import Status
from vsd.utils.validation import first_line

if TYPE_CHECKING:
    from submitit import Job as SubmittedJob

    from vsd.run.cluster.job import Job

LOGS = ".submitit"
VISIBLE = "CUDA_VISIBLE_DEVICES"
END_S = 20.0  # that local jobs have to write what they have


class Pool(Protocol):
    """`check` refuses jobs that cannot run here, before anything is recorded. `submit` gives each job's id, `statuses`
    what is known of each, `log` the file with what it says. `end` ends those that do not outlive this process."""

    name: str

    def check(self, jobs: Sequence[Job]) -> None: ...

    def submit(self, jobs: Sequence[Job], sweep: Path, code: str) -> list[str]: ...

    def statuses(self, jobs: Collection[str]) -> dict[str, Status]: ...

    def log(self, sweep: Path, job: str) -> Path: ...

    def end(self) -> None: ...


@dataclass
class Slurm:
    """One array of jobs for each submission, by sbatch. `params` are submitit's. Raises UsageError for what cannot
    be."""

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
        _try("slurm", self._own())

    def _own(self) -> dict[str, Any]:
        """What submitit is given."""
        own = dict(self.params)
        more = {"requeue": True, **(own.pop("additional_parameters", None) or {})}
        lines = [*slurm.SETUP, *(own.pop("setup", None) or ())]
        return {**own, "additional_parameters": more, "setup": lines, "teardown": [*slurm.TEARDOWN]}

    def check(self, jobs: Sequence[Job]) -> None:
        """What a node has shows there."""

    def submit(self, jobs: Sequence[Job], sweep: Path, code: str) -> list[str]:
        """Raises UsageError for what sbatch refuses."""
        executor = _executor("slurm", sweep, _python(code), self._own())
        try:
            return [str(job.job_id) for job in executor.submit_array(jobs)]
        except Exception as error:  # submitit wraps what sbatch has said
            said = [line for line in str(error).splitlines() if line.strip().startswith("sbatch: error")]
            raise UsageError(f"hydra.launcher: must be what sbatch takes, got {said[0] if said else error}") from error

    def statuses(self, jobs: Collection[str]) -> dict[str, Status]:
        return slurm.statuses(jobs)

    def log(self, sweep: Path, job: str) -> Path:
        return sweep / LOGS / job / f"{job}_0_log.err"

    def end(self) -> None:
        """They go on."""


@dataclass
class Local:
    """Processes of this machine, at most `array_parallelism` at a time (None: all), each with `gpus_per_job` of the
    machine's GPUs to itself (0: all of them see all). They end with this one. Raises UsageError for what cannot be."""

    params: Mapping[str, Any]
    name: str = "local"
    _waiting: list[tuple[str, Job]] = field(default_factory=list)
    _begun: dict[str, SubmittedJob[Any]] = field(default_factory=dict)
    _free: list[str] = field(default_factory=list)
    _taken: dict[str, list[str]] = field(default_factory=dict)
    _sweep: Path = Path()
    _code: str = ""

    def __post_init__(self) -> None:
        _try("local", self._own())

    def _own(self) -> dict[str, Any]:
        """What submitit is given."""
        return {name: v for name, v in self.params.items() if name not in ("array_parallelism", "gpus_per_job")}

    @property
    def _gpus_per_job(self) -> int:
        return int(self.params.get("gpus_per_job", 0))

    def check(self, jobs: Sequence[Job]) -> None:
        """Raises UsageError where there are fewer GPUs than a job needs."""
        needed = {each: gpu for job in jobs for each in _devices(job.config) if (gpu := _last_gpu(each)) is not None}
        if not needed and not self._gpus_per_job:
            return
        seen, given = gpus(), self._gpus_per_job
        if given > len(seen):
            raise UsageError(
                f"hydra.launcher.gpus_per_job: must be at most the {len(seen)} GPUs seen here, got {given}"
            )
        for device, last in needed.items():
            if last >= (given or len(seen)):
                why = " (hydra.launcher.gpus_per_job)" if given else ""
                count = given or len(seen)
                raise UsageError(f"device: must be cpu or one of the {count} GPUs that a job sees{why}, got {device}")
        self._free = seen

    def submit(self, jobs: Sequence[Job], sweep: Path, code: str) -> list[str]:
        self._sweep, self._code = sweep, code
        self._waiting = [(f"{job.number}", job) for job in jobs]
        return [name for name, _ in self._waiting]

    def statuses(self, jobs: Collection[str]) -> dict[str, Status]:
        """Begins those that there is room for, too."""
        going = {name for name, job in self._begun.items() if not job.done()}
        for name in [name for name in self._taken if name not in going]:
            self._free += self._taken.pop(name)
        most = self.params.get("array_parallelism")
        while self._waiting and (most is None or len(going) < most) and len(self._free) >= self._gpus_per_job:
            name, job = self._waiting.pop(0)
            own = self._taken[name] = [self._free.pop(0) for _ in range(self._gpus_per_job)]
            with postponed(signal.SIGINT):  # this process tells it to end, more gently than submitit on Ctrl-C
                self._begun[name] = self._begin(job, own)
            going.add(name)
        return {name: self._status(name) for name in jobs}

    def _begin(self, job: Job, own: Sequence[str]) -> SubmittedJob[Any]:
        """A process, which sees these GPUs, or those that this one does."""
        seen = ",".join(own) if own else os.environ.get(VISIBLE)
        executor = _executor("local", self._sweep, _python(self._code, {VISIBLE: seen}), self._own())
        begun: SubmittedJob[Any] = executor.submit(job)
        return begun

    def _status(self, name: str) -> Status:
        job = self._begun.get(name)
        if job is None:
            return Status("PENDING")
        if not job.done():
            return Status("RUNNING")
        return Status("COMPLETED" if job.paths.result_pickle.exists() else "FAILED")

    def log(self, sweep: Path, job: str) -> Path:
        """That of its process."""
        begun = self._begun.get(job)
        return sweep / LOGS / job if begun is None else Path(begun.paths.stderr)

    def end(self) -> None:
        """Ask those at work to end as a preemption does, so that they write what they have, and wait for them."""
        self._waiting.clear()
        trees = [_Tree(int(job.job_id)) for job in self._begun.values() if not job.done()]
        until = time.monotonic() + END_S
        try:
            while any(tree.alive() for tree in trees) and time.monotonic() < until:
                for tree in trees:
                    tree.terminate()
                time.sleep(1.0)
        finally:  # also if Ctrl-C comes again
            for tree in trees:
                tree.kill()


class _Tree:
    """The processes of a local job: submitit's controller, which passes signals on to the job, and perhaps the shell of
    its `setup` around it."""

    def __init__(self, pid: int) -> None:
        self._all = dict[int, psutil.Process]()
        with suppress(psutil.Error):
            self._all[pid] = psutil.Process(pid)
        self.alive()

    def alive(self) -> list[psutil.Process]:
        """Those that there are still."""
        for process in [*self._all.values()]:
            with suppress(psutil.Error):
                self._all |= {each.pid: each for each in process.children(recursive=True)}
        return [each for each in self._all.values() if _lives(each)]

    def terminate(self) -> None:
        """The controller, or all while there is none."""
        alive = self.alive()
        for each in [each for each in alive if _is_controller(each)] or alive:
            with suppress(psutil.Error):
                each.terminate()

    def kill(self) -> None:
        for each in self.alive():
            with suppress(psutil.Error):
                each.kill()


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _is_controller(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "submitit.local._local" in process.cmdline()
    return False


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    given = os.environ.get(VISIBLE)
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        return names[: next((place for place, name in enumerate(names) if name in ("", "-1")), len(names))]
    from vsd.models import hardware

    return [f"{number}" for number in range(hardware.gpu_count())]


def _devices(config: DictConfig) -> Iterator[str]:
    """Where a job's models are to be."""
    for name in ("device", "target.device", "draft.device"):
        with suppress(OmegaConfBaseException):  # the job says what is wrong with it
            yield str(OmegaConf.select(config, name))


def _last_gpu(device: str) -> int | None:
    """Its number, None for what is none."""
    kind, _, number = device.partition(":")
    return None if kind != "cuda" else int(number) if number.isdecimal() else 0


def _try(cluster: str, params: Mapping[str, Any]) -> None:
    """Raises UsageError for a parameter that submitit does not take."""
    with TemporaryDirectory() as folder:
        _executor(cluster, Path(folder), _python(""), params)


def _executor(cluster: str, sweep: Path, python: str, params: Mapping[str, Any]) -> Any:
    """submitit's, whose jobs begin with this Python. Raises UsageError for a parameter that it does not take."""
    from submitit import AutoExecutor
    from submitit.core.core import Executor

    executor: Executor = AutoExecutor(folder=sweep / LOGS / "%j", cluster=cluster, **{f"{cluster}_python": python})
    generic = AutoExecutor._typed_parameters()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            executor.update_parameters(
                **{name if name in generic else f"{cluster}_{name}": value for name, value in params.items()}
            )
    except (AssertionError, NameError, TypeError, ValueError) as error:
        raise UsageError(f"hydra.launcher: must be what submitit takes, got: {first_line(error)}") from error
    return executor


def _python(code: str, variables: Mapping[str, str | None] | None = None) -> str:
    """The command of a Python that imports vsd from the snapshot `code`, if there is one, and nothing from the folder
    it begins in; with these variables, None for one that is not there."""
    found = dict(variables or {})
    if code:
        others = os.environ.get("PYTHONPATH")
        found["PYTHONPATH"] = f"{code}{os.pathsep}{others}" if others else code
    gone = [word for name, value in found.items() if value is None for word in ("-u", name)]
    given = [f"{name}={value}" for name, value in found.items() if value is not None]
    return shlex.join([*(["env", *gone, *given] if found else []), sys.executable, "-P"])
