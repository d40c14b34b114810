"""Where numbers come from: versions, commit, hardware, command and time of a run; and the file that holds them.

A job writes it before anything else, so that one that is refused, fails or is killed has it too. Nothing heavy is
imported for that: what torch knows of the hardware is added when the weights are about to be loaded.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsd.run import disk
from vsd.run.cluster import slurm
from vsd.run.cluster.snapshot import PACKAGE, snapshot_of
from vsd.run.schema import SCHEMA
from vsd.utils import distributed
from vsd.utils.git import git
from vsd.utils.termination import Terminated

if TYPE_CHECKING:
    from vsd.run.cluster.record import Submitted

FILE = "provenance.json"
GIT_S = 10.0  # that a run waits for git
PACKAGES = (
    "vsd",
    "torch",
    "torchao",
    "transformers",
    "accelerate",
    "lightning",
    "hydra-core",
    "decord",
    "av",
    "numpy",
    "wandb",
)


_SUBMITTED: ContextVar[Submitted | None] = ContextVar("submitted", default=None)


@contextmanager
def submitted(told: Submitted) -> Iterator[None]:
    """Within, a job is one that was submitted so: its command is that of the user, its commit that of then."""
    token = _SUBMITTED.set(told)
    try:
        yield
    finally:
        _SUBMITTED.reset(token)


@contextmanager
def job(folder: Path, shard: str = "0/1", overrides: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Within, a job works in this folder, on this shard of the samples, with these overrides. Written down are what is
    known of it before it begins, which is handed out, and how it has ended. Provenances of earlier jobs are kept under
    `earlier`, and what the last one failed with is forgotten. Raises CannotWrite."""
    past = read(folder)
    earlier = [*past.pop("earlier", []), past] if past else []
    own = {"schema": SCHEMA, "job": uuid.uuid4().hex[:12], "shard": shard, "overrides": [*overrides]}
    told = {**own, **_job(), "hardware": machine(), "load": load(), "earlier": earlier}
    with disk.writing(folder):
        (folder / "error.txt").unlink(missing_ok=True)
    write(folder, told)
    try:
        yield told
    except BaseException as error:
        with suppress(disk.CannotWrite):  # the disk may be what failed
            outcome = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            sent = {"signal": f"{error}"} if isinstance(error, Terminated) else {}
            note(folder, own, outcome=outcome, ended=_now(), **sent)
        raise
    note(folder, own, outcome="done", ended=_now())


def note(folder: Path, told: Mapping[str, Any], **more: Any) -> None:
    """Add to what is written of the job that `told` is of, also if jobs of other shards have begun here since. Raises
    CannotWrite."""
    jobs = jobs_of(read(folder))
    place = next((place for place, each in enumerate(jobs) if each.get("job") == told.get("job")), len(jobs))
    known = {name: value for name, value in told.items() if name != "earlier"}
    jobs[place : place + 1] = [{**(jobs[place] if place < len(jobs) else {}), **known, **more}]
    write(folder, {**jobs[0], "earlier": jobs[1:][::-1]})


def jobs_of(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All jobs that a folder's file tells of, the last that began before the others."""
    if not told:
        return []
    last = {name: value for name, value in told.items() if name != "earlier"}
    return [last, *reversed(told.get("earlier", []))]


def load() -> float | None:
    """How many processes were at work here, on average over the last minute; None where nobody knows."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def read(folder: Path) -> dict[str, Any]:
    """What a folder's file holds; nothing where there is none or it is damaged."""
    found: Any = {}
    with suppress(OSError, ValueError):
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def write(folder: Path, told: Mapping[str, Any]) -> None:
    """Write a folder's file, whole or not at all. Raises CannotWrite."""
    disk.write_json(folder / FILE, told)


def provenance() -> dict[str, Any]:
    """What is needed to make the run again, as JSON-ready values. What cannot be found out is None."""
    return {**_job(), "hardware": hardware()}


def _job() -> dict[str, Any]:
    told = _SUBMITTED.get()
    return {
        "time": _now(),
        "command": command() if told is None else told.command,
        **({} if told is None else of_submission(told)),
        "host": platform.node(),
        "pid": os.getpid(),
        **({} if (place := slurm.place()) is None else {"slurm": place}),
        "git": git_state(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": packages(),
    }


def of_submission(told: Submitted) -> dict[str, Any]:
    """What is kept of a job's submission; its time tells it from any other of the job."""
    return {"submitted": {"time": told.time, "code": told.digest, "config": told.config}}


def command() -> str:
    """The command of this process."""
    return shlex.join(sys.orig_argv)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def packages() -> dict[str, str | None]:
    """The versions of what a run's tokens and speed depend on."""
    return {name: _version(name) for name in PACKAGES}


def machine() -> dict[str, Any]:
    """What is known of the hardware without torch."""
    return {
        "ranks": distributed.count(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
    }


def hardware() -> dict[str, Any]:
    """What the speed of a run depends on."""
    import torch

    from vsd.models.attention import sdpa_flags

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        **machine(),
        "threads": torch.get_num_threads(),
        "sdpa": sdpa_flags(),
        "gpus": gpus,
        "cuda": torch.version.cuda if gpus else None,
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout that holds `folder`, or that a snapshot of one had when it was made; None
    outside of one or without git."""
    if (told := snapshot_of(PACKAGE)) is not None:
        return {"commit": told["commit"], "dirty": told["dirty"]} if told["commit"] else None
    commit = git(folder, "rev-parse", "HEAD", timeout_s=GIT_S)
    if commit is None:
        return None
    changed = git(folder, "status", "--porcelain", timeout_s=GIT_S)
    return {"commit": commit.strip(), "dirty": bool((changed or "").strip())}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
