"""A sweep's jobs until they have ended: what the terminal shows of them, and the reason of each that died."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live

from vsd.run import app, disk, provenance
from vsd.run.cluster import record
from vsd.run.cluster.pools import Pool
from vsd.run.cluster.progress import Finished, Pace, Progress, at_once
from vsd.run.cluster.record import Submitted
from vsd.run.cluster.slurm import GONE, Status
from vsd.run.report.line import job_line
from vsd.run.schema import SCHEMA

LOOK_S = 2.0  # between two looks at the jobs' folders
ASK_S = (5.0, 30.0)  # between two questions to the cluster: at first, and of a long sweep
SAY_S = 60.0  # between two lines where no terminal shows a live one
SETTLE = 2  # so often a job must be found ended: one that is requeued may seem to be for a moment


@dataclass
class Watched:
    """A job, how it was submitted, its id in the cluster (empty: it was finished before), and how it stands."""

    number: int
    sweep: Path
    folder: Path
    overrides: Sequence[str]
    submitted: Submitted
    job: str
    total: int | None
    status: Status = field(default_factory=lambda: Status("PENDING"))
    ended: bool = False
    _begun: bool = False
    _seen_ended: int = 0

    def __post_init__(self) -> None:
        self.finished = Finished(self.folder, self.submitted.config)
        self.ended = self.ended or not self.job

    @property
    def never_began(self) -> bool:
        """Slurm has forgotten it, and it was never seen at work."""
        return self.status == GONE and not self._begun

    @property
    def failed(self) -> bool:
        return self.ended and not record.is_done(self.folder, self.submitted)

    def take(self, status: Status | None) -> None:
        """What the cluster says; None while it does not answer."""
        if status is None:
            return
        self._seen_ended = self._seen_ended + 1 if status.ended else 0
        self._begun = self._begun or status.running
        self.status = status
        self.ended = self._seen_ended >= SETTLE

    def metrics(self) -> dict[str, float] | None:
        """The run's, None if it failed."""
        with suppress(OSError, ValueError):
            found = json.loads((self.folder / "metrics.json").read_text(encoding="utf-8"))
            return None if self.failed else dict(found)
        return None


def failed_samples(folder: Path) -> int:
    """How many samples of the run in this folder could not be decoded."""
    with suppress(OSError, ValueError):
        return int(json.loads((folder / "metrics.json").read_text(encoding="utf-8")).get("samples/failed", 0))
    return 0


def watch(jobs: Sequence[Watched], pool: Pool, console: Console | None = None) -> None:
    """Return when all have ended. A job that left no word of why it failed gets one: error.txt."""
    console = console or Console()
    pace, began = Pace(), time.monotonic()
    asked = said = -sys.float_info.max
    with Live(console=console, transient=True, auto_refresh=False) as live:
        while True:
            now = time.monotonic()
            if now - asked >= min(max(ASK_S[0], (now - began) / 20), ASK_S[1]):
                asked = now
                for job in _look(jobs, pool):
                    live.console.print(job_line(job.number, 0, job.overrides, job.metrics(), None))
            state = progress(jobs, pace)
            if all(job.ended for job in jobs):
                break
            if console.is_terminal:
                live.update(str(state), refresh=True)
            elif now - said >= SAY_S:
                said = now
                console.print(str(state), soft_wrap=True)
            time.sleep(LOOK_S)
    console.print(str(state), soft_wrap=True)


def progress(jobs: Sequence[Watched], pace: Pace) -> Progress:
    """All of them together."""
    finished = sum(job.finished.count() for job in jobs)
    pace.add(finished)
    totals = [job.total for job in jobs]
    active = [job for job in jobs if not job.ended]
    running = sum(job.status.running or job.status.ended for job in active)
    failed = sum(job.failed for job in jobs)
    return Progress(
        done=len(jobs) - len(active) - failed,
        running=running,
        queued=len(active) - running,
        failed=failed,
        finished=finished,
        total=None if None in totals else sum(total for total in totals if total is not None),
        a_minute=pace.a_minute,
    )


def _look(jobs: Sequence[Watched], pool: Pool) -> list[Watched]:
    """Ask the cluster; the jobs that have ended since."""
    active = [job for job in jobs if not job.ended]
    known = pool.statuses([job.job for job in active])
    for job in active:
        job.take(known.get(job.job))
        if job.failed:
            if not (job.folder / "error.txt").exists():
                app.leave_error(job.folder, why(job, pool))
            _disown(job)
    return [job for job in active if job.ended]


def _disown(job: Watched) -> None:
    """Where a job of another config was before one that never began: its numbers are not those of this one."""
    told = provenance.read(job.folder)
    before = told.get("submitted", {}).get("config")
    if not told or before == job.submitted.config or record.has_begun(job.folder, job.submitted):
        return
    # An empty config has no samples; what its settings were stands in .hydra.
    own = {"schema": SCHEMA, "job": uuid.uuid4().hex[:12], "overrides": [*job.submitted.overrides], "config": ""}
    own |= {**provenance.of_submission(job.submitted), "time": job.submitted.time, "outcome": "failed"}
    with suppress(disk.CannotWrite, OSError):
        provenance.write(job.folder, {**own, "earlier": provenance.jobs_of(told)[::-1]})
        for name in ("config.yaml", "metrics.json"):
            (job.folder / name).unlink(missing_ok=True)


def why(job: Watched, pool: Pool) -> str:
    """What the cluster says of a job that left no word itself."""
    if job.never_began:
        return f"Slurm: job {job.job} left the queue before it began: cancelled? The same command submits it again"
    detail = f" ({job.status.detail})" if job.status.detail else ""
    log = pool.log(job.sweep, job.job)
    where = f"; {log} has what it said" if log.exists() else ""
    if not where and pool.name == "local":
        where = "; it ended before Python began (hydra.launcher.setup?)"
    named = f"Slurm: job {job.job} " if pool.name == "slurm" else "its process "
    return f"{named}ended as {job.status.state}{detail}{where}; the same command goes on"


def left_alone(jobs: Sequence[Watched], *, lasting: bool) -> str:
    """What Ctrl-C says: how jobs that go on (`lasting`) are looked at, watched again and ended."""
    active = [job.job for job in jobs if not job.ended]
    if not lasting:
        return "interrupted: finished samples are kept; the same command goes on"
    if not active:
        return "interrupted: squeue --me shows what is submitted; the same command goes on"
    return (
        f"interrupted: {len(active)} jobs go on in Slurm. squeue --me shows them, the same command (with out=FOLDER) "
        f"watches them again, and this ends them:\nscancel {at_once(active)}"
    )
