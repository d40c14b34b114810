"""Hydra's launchers `slurm` and `local`: each job of a multirun is a process of its own (docs/cluster.md)."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, filter_overrides, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from rich.console import Console

from vsd.run import disk, locks, provenance
from vsd.run.app import UsageError
from vsd.run.cluster import record, slurm, snapshot, watch
from vsd.run.cluster.interrupts import postponed
from vsd.run.cluster.job import Job
from vsd.run.cluster.pools import Local, Pool, Slurm
from vsd.run.cluster.progress import Asked
from vsd.run.cluster.record import Submitted
from vsd.run.cluster.snapshot import Code
from vsd.run.cluster.watch import Watched
from vsd.utils import termination
from vsd.utils.validation import require, require_whole

POOLS: dict[str, Callable[[Mapping[str, Any]], Pool]] = {"slurm": Slurm, "local": Local}


def launch(
    cluster: str,
    params: Mapping[str, Any],
    job_overrides: Sequence[Sequence[str]],
    first: int,
    *,
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
) -> Sequence[JobReturn]:
    """Submit the jobs that are not finished and not at work already, and watch all until they have ended. What they
    return is read from their folders, so that a dead one ends nothing. Exit code 2 for what is refused, 130 after
    Ctrl-C."""
    if config.dry_run:  # which is of no use to the cluster
        basic = BasicLauncher()
        basic.setup(hydra_context=context, task_function=task, config=config)
        return basic.launch(job_overrides, first)
    setup_globals()
    own: dict[str, Any] = {
        name: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for name, v in params.items()
    }
    watched = list[Watched]()
    try:
        with termination.listening(signal.SIGTERM), disk.room(str(config.hydra.sweep.dir)):
            pool = _pool(cluster, own)
            jobs = _jobs(job_overrides, first, context, config, timeouts=own["max_num_timeout"])
            pool.check(jobs)
            with locks.locked(jobs[0].sweep / record.FOLDER, "launcher"):  # the same command elsewhere waits
                _watched(jobs, pool, watched)
            try:
                watch.watch(watched, pool)
            finally:
                pool.end()
            _mark(jobs)
    except (UsageError, disk.CannotWrite) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as error:
        print(f"\n{watch.left_alone(watched, lasting=cluster == 'slurm')}", file=sys.stderr)
        sys.exit(termination.exit_code(error))
    return [_returned(job, each) for job, each in zip(jobs, watched, strict=True)]


def _pool(cluster: str, params: Mapping[str, Any]) -> Pool:
    """Raises UsageError for fields that cannot be, before anything is recorded."""
    if find_spec("submitit") is None:
        raise UsageError('hydra/launcher: must have submitit (pip install "vsd[slurm]"), got none')
    try:
        for name, least in {"timeout_min": 1, "max_num_timeout": 0}.items():
            require_whole(f"hydra.launcher.{name}", params.get(name), least=least)
        for name, least in {"signal_delay_s": 1, "array_parallelism": 1, "gpus_per_job": 0}.items():
            if params.get(name) is not None or (name, cluster) == ("signal_delay_s", "slurm"):
                require_whole(f"hydra.launcher.{name}", params.get(name), least=least)
        setup, more = params.get("setup"), params.get("additional_parameters")
        is_list = setup is None or (isinstance(setup, list) and all(isinstance(line, str) for line in setup))
        require("hydra.launcher.setup", "a list of lines ([module load cuda, ...])", setup, is_list)
        is_map = more is None or isinstance(more, dict)
        require("hydra.launcher.additional_parameters", "options of sbatch ({mail-type: END, ...})", more, is_map)
    except ValueError as error:
        raise UsageError(str(error)) from error
    given = {name: value for name, value in params.items() if name != "max_num_timeout" and value is not None}
    return POOLS[cluster](given)


def _jobs(
    job_overrides: Sequence[Sequence[str]], first: int, context: HydraContext, master: DictConfig, *, timeouts: int
) -> list[Job]:
    """Each with its whole config, composed now."""
    sweep = Path(str(master.hydra.sweep.dir)).absolute()
    jobs = []
    for number, overrides in enumerate(job_overrides, start=first):
        config = context.config_loader.load_sweep_config(master, list(overrides))
        with read_write(config), open_dict(config):
            config.hydra.job.num, config.hydra.job.id = number, str(number)
            config.hydra.sweep.dir = str(sweep)
            HydraConfig.instance().set_config(config)
            folder = sweep / str(config.hydra.sweep.subdir)
            config.out = str(folder)
        jobs.append(Job(sweep=sweep, number=number, config=config, folder=folder, timeouts=timeouts))
    return jobs


def _watched(jobs: Sequence[Job], pool: Pool, watched: list[Watched]) -> None:
    """Submit jobs where that is needed, and add all of them to `watched`, whatever comes between."""
    sweep = jobs[0].sweep
    told = {job.number: _told(job, pool) for job in jobs}
    going = _still_going(jobs, told)
    finished = {job.number for job in jobs if job.number not in going and _is_finished(job, told[job.number])}
    todo = [job for job in jobs if job.number not in going and job.number not in finished]
    totals = Asked()
    samples = dict[int, int | None]()
    for job in jobs:  # before: it takes a while, and Ctrl-C may come
        HydraConfig.instance().set_config(job.config)  # ${hydra:job.num} is its own
        samples[job.number] = totals.of(job.config)
    counts = _counts(len(todo), len(going), len(finished))
    code = snapshot.freeze(sweep) if todo else None
    with postponed(signal.SIGINT, signal.SIGTERM):  # what is submitted is recorded
        if code is not None:
            going |= _submitted(todo, told, code, pool)
            counts += f". {_code(code)}"
        shared = set.intersection(*(set(each.overrides) for each in told.values())) if len(jobs) > 1 else set[str]()
        watched += [
            Watched(
                number=job.number,
                sweep=sweep,
                folder=job.folder,
                overrides=[each for each in filter_overrides(told[job.number].overrides) if each not in shared],
                # What is finished or at work was submitted by an earlier command.
                submitted=record.read(sweep, job.number) or told[job.number],
                job=going.get(job.number, ""),
                total=samples[job.number],
            )
            for job in jobs
        ]
    Console().print(counts, highlight=False, soft_wrap=True)


def _mark(jobs: Sequence[Job]) -> None:
    """By these times the table at the end knows this sweep's jobs, whatever the clocks of nodes say."""
    for job in jobs:
        if not (job.folder / ".hydra" / "overrides.yaml").exists():
            _write_config(job)
        os.utime(job.folder / ".hydra" / "overrides.yaml")


def _told(job: Job, pool: Pool) -> Submitted:
    """What is recorded of it, but for its code and its id."""
    return Submitted(
        number=job.number,
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        command=provenance.command(),
        overrides=tuple(OmegaConf.to_container(job.config.hydra.overrides.task, resolve=False) or ()),  # type: ignore[arg-type]
        config=record.config_fingerprint(job.config),
        digest="",
        code="",
        commit=None,
        dirty=False,
        cluster=pool.name,
    )


def _still_going(jobs: Sequence[Job], told: Mapping[int, Submitted]) -> dict[int, str]:
    """The ids of those that an earlier submission still has at work or in the queue. Raises UsageError if one of them
    has another config than it would have now."""
    before = {job.number: record.read(job.sweep, job.number) for job in jobs}
    ids = {number: each.job for number, each in before.items() if each and each.job and each.cluster == "slurm"}
    states = slurm.statuses([*ids.values()])
    found = {number: job for number, job in ids.items() if job in states and not states[job].ended}
    for number, its in found.items():
        past = before[number]
        if past is not None and past.config != told[number].config:
            raise UsageError(
                f"job {number}: must have ended before it has another config, got Slurm's job {its} at work "
                f"(scancel {its})"
            )
    for job in jobs:
        unknown = job.number not in found and states.get(ids.get(job.number, "")) in (None, slurm.GONE)
        if unknown and locks.is_locked(job.sweep / record.FOLDER, str(job.number)):
            raise UsageError(f"job {job.number}: must have ended before it is begun again, got a process at work")
    return found


def _is_finished(job: Job, told: Submitted) -> bool:
    """Whether nothing is left to do: all samples of this very config are decoded."""
    past = record.read(job.sweep, job.number)
    same = past is not None and past.config == told.config
    return past is not None and same and record.is_done(job.folder, past) and not watch.failed_samples(job.folder)


def _submitted(todo: Sequence[Job], told: dict[int, Submitted], code: Code, pool: Pool) -> dict[int, str]:
    """Record and submit them; their ids."""
    sweep = todo[0].sweep
    frozen = {"digest": code.digest, "code": code.folder, "commit": code.commit, "dirty": code.dirty}
    for job in todo:
        told[job.number] = Submitted(**{**vars(told[job.number]), **frozen})
        told[job.number].write(sweep)
        with disk.writing(job.folder):
            (job.folder / "error.txt").unlink(missing_ok=True)
        _write_config(job)
    if code.diff:
        disk.write_whole(sweep / record.FOLDER / f"{code.digest}.diff", code.diff)
    ids = pool.submit(todo, sweep, code.folder)
    for job, its in zip(todo, ids, strict=True):
        told[job.number] = Submitted(**{**vars(told[job.number]), "job": its})
        told[job.number].write(sweep)
    return {job.number: its for job, its in zip(todo, ids, strict=True)}


def _write_config(job: Job) -> None:
    """As Hydra writes it again when the job begins; and a job that never does is one of the sweep all the same."""
    hydra = OmegaConf.masked_copy(job.config, ["hydra"])
    dials = OmegaConf.masked_copy(job.config, [str(key) for key in job.config if key != "hydra"])
    folder = job.folder / ".hydra"
    with disk.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, part in {"config": dials, "hydra": hydra, "overrides": job.config.hydra.overrides.task}.items():
        disk.write_whole(folder / f"{name}.yaml", OmegaConf.to_yaml(part))


def _counts(new: int, going: int, finished: int) -> str:
    parts = [f"{new} jobs are submitted"]
    parts += [f"{going} are at work already"] if going else []
    return "; ".join(parts + ([f"{finished} are finished"] if finished else []))


def _code(code: Code) -> str:
    """Which one the jobs run."""
    if not code.folder:
        return "vsd is installed: jobs run it as it is, and refuse if it is another one when they begin"
    changed = " with changes" if code.dirty else ""
    left = f"; too large, left out: {', '.join(code.left_out)}" if code.left_out else ""
    size = f"{code.size / 1e6:.1f} MB in {code.folder}"
    return f"They run the code of now: {code.commit or 'no commit'}{changed}, {size}{left}"


def _returned(job: Job, watched: Watched) -> JobReturn:
    """What Hydra's sweeper looks at. A failed job is none to it: that would end the others' table."""
    found = JobReturn(overrides=list(watched.overrides), cfg=job.config, status=JobStatus.COMPLETED)
    found.return_value = watched.metrics()
    return found
