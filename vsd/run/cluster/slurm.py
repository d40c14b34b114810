"""What Slurm says of jobs, and what it is asked to do with those that it stops."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

QUEUED = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
)
RUNNING = frozenset({"RUNNING", "COMPLETING", "STAGE_OUT", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING"})

SETUP = (
    "# What asks the job to end must not end this script, which has it begun again.",
    "trap : TERM USR2",
    "# Since Slurm 22.05 srun does not take this from sbatch.",
    'if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK; fi',
)
"""Lines of the batch script before a job."""

AGAIN = (143, 140, 15, 12)
"""The exit codes of a job that SIGTERM (a preemption's grace) or SIGUSR2 (soon its time is up) has ended; the last two
are srun's, of a Python that was not yet listening."""

TEARDOWN = (
    "code=$?",
    f"case $code in {'|'.join(map(str, AGAIN))})",
    "  # A job that scancel has ended is no longer running, and stays ended.",
    '  if [ "$(squeue --noheader --format=%T --jobs="$SLURM_JOB_ID")" = RUNNING ]; then',
    '    scontrol requeue "$SLURM_JOB_ID" && sleep 300',
    "  fi",
    "esac",
    "exit $code",
)
"""Lines behind it. In bash, so that a job that is stopped while Python still starts is requeued too."""


@dataclass(frozen=True)
class Status:
    """A job in Slurm: its state (`RUNNING`, `OUT_OF_MEMORY`, ...; empty where nobody knows) and what more is known."""

    state: str
    detail: str = ""

    @property
    def queued(self) -> bool:
        return self.state in QUEUED

    @property
    def running(self) -> bool:
        return self.state in RUNNING

    @property
    def ended(self) -> bool:
        return bool(self.state) and not self.queued and not self.running


GONE = Status("GONE", "it has left Slurm's queue, which keeps no account of it")
"""Also a job that was cancelled before it began: of one of an array there is no account."""


def statuses(jobs: Collection[str]) -> dict[str, Status]:
    """Of each job (`12`, or `12_3` of an array). What the queue says of one counts more than accounting, which may tell
    of the past of a job that was requeued. One that neither knows is GONE; while Slurm does not answer, nothing is said
    of it."""
    if not jobs:
        return {}
    ids = ",".join(sorted({job.partition("_")[0] for job in jobs}, key=int))
    found = _accounted(_output(["sacct", "--parsable2", "--noheader", "-X", "-o", "JobID,State,ExitCode", "-j", ids]))
    queue = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r", "--jobs", ids]
    for line in _output(queue).splitlines():
        job, _, rest = line.strip().partition("|")
        state, _, why = rest.partition("|")
        status = Status(state, "" if why == "None" else why)
        if not status.ended or job not in found:
            found[job] = status
    if not found.keys() >= {*jobs} and reachable():
        found = {**dict.fromkeys(jobs, GONE), **found}
    return {job: status for job, status in found.items() if job in jobs}


def _accounted(text: str) -> dict[str, Status]:
    """What sacct says; of jobs of an array that are still queued together it has one line, which is left out."""
    found = dict[str, Status]()
    for line in text.splitlines():
        job, _, rest = line.partition("|")
        said, _, code = rest.partition("|")
        state, _, more = said.partition(" ")
        if re.fullmatch(r"\d+(_\d+)?", job):
            found[job] = Status(state.rstrip("+"), more or _how(code))
    return found


def _how(code: str) -> str:
    """What sacct's "137:0", exit code and signal, says."""
    exited, _, killed = code.partition(":")
    if exited not in ("", "0"):
        return f"exit code {exited}"
    return f"signal {killed}" if killed not in ("", "0") else ""


def reachable() -> bool:
    """Whether Slurm's queue can be asked here."""
    return _run(["squeue", "--noheader", "--me"]) is not None


def place() -> dict[str, Any] | None:
    """Where in Slurm this process is; None outside. `restarts` counts how often the job was requeued."""
    names: Mapping[str, str] = {
        "job": "SLURM_JOB_ID",
        "array": "SLURM_ARRAY_JOB_ID",
        "task": "SLURM_ARRAY_TASK_ID",
        "nodes": "SLURM_JOB_NODELIST",
        "partition": "SLURM_JOB_PARTITION",
        "cluster": "SLURM_CLUSTER_NAME",
    }
    if names["job"] not in os.environ:
        return None
    found = {name: os.environ[variable] for name, variable in names.items() if variable in os.environ}
    return {**found, "restarts": int(os.environ.get("SLURM_RESTART_COUNT", "0"))}


def _output(command: Sequence[str]) -> str:
    return _run(command) or ""


def _run(command: Sequence[str]) -> str | None:
    """What a command prints; None if it is not there or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None
