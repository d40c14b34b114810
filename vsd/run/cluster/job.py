"""What a process of a cluster does: one job of a multirun, with the code and the config that were submitted."""

from __future__ import annotations

import signal
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra.core.utils import JobRuntime, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig

from vsd.run import app, locks, provenance
from vsd.run.cluster import record
from vsd.run.cluster.snapshot import current_digest
from vsd.utils import termination

LOCAL_AGAIN = 144  # the exit code with which submitit's local controller starts a job anew
WAIT_S = 60.0  # for a job in the same folder, which was requeued and is not quite gone


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job of the multirun in `sweep`, with its whole `config`. Its class is pickled by name, so that a process has
    the code of its own snapshot.

    It exits with 0 if the run is done, 1 if it failed, 2 if it was refused. A signal that asks for its end gives 143
    (SIGTERM) or 140 (SIGUSR2, before the time limit), upon which it is started again and goes on: see
    `vsd.run.cluster.slurm.TEARDOWN`. After `timeouts` time limits it fails.
    """

    sweep: Path
    number: int
    config: DictConfig
    folder: Path
    timeouts: int

    def __call__(self) -> dict[str, float]:
        version.setbase("1.3")
        setup_globals()
        JobRuntime.instance().set("name", self.config.hydra.job.name)
        try:
            with termination.listening(signal.SIGTERM, signal.SIGUSR2), self._alone():
                return self._run(self._submitted())
        except termination.Terminated as ended:  # before or behind the run
            sys.exit(self._stopped(termination.exit_code(ended)))
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    def _alone(self) -> AbstractContextManager[None]:
        """Within, no other process works at this job. Raises ValueError if one does."""
        return locks.locked(self.sweep / record.FOLDER, str(self.number), wait_s=WAIT_S)

    def _submitted(self) -> record.Submitted:
        """What was recorded. Raises ValueError if the job has found something else, which is the run's error."""
        try:
            return self._checked()
        except ValueError as error:
            app.leave_error(self.folder, f"{error}")
            raise

    def _checked(self) -> record.Submitted:
        told = record.read(self.sweep, self.number)
        if told is None:
            file = record.file_of(self.sweep, self.number)
            raise ValueError(f"job {self.number}: must be recorded at its submission, got no {file}")
        found = {"code": current_digest(), "config": record.config_fingerprint(self.config)}
        for name, recorded in {"code": told.digest, "config": told.config}.items():
            if found[name] != recorded:
                raise ValueError(
                    f"{name}: must be as it was submitted ({recorded}, {told.time}), got another ({found[name]}); the "
                    "same command submits it again"
                )
        return told

    def _run(self, told: record.Submitted) -> dict[str, float]:
        context = HydraContext(config_loader=None, callbacks=Callbacks(self.config))  # type: ignore[arg-type]
        try:
            with provenance.submitted(told):
                done = run_job(app.main, self.config, "hydra.sweep.dir", "hydra.sweep.subdir", context)
        except SystemExit as end:
            sys.exit(self._stopped(end.code))
        metrics = done.return_value
        if metrics is None:
            sys.exit(1)  # the run has said why: error.txt
        return dict(metrics)

    def _stopped(self, code: str | int | None) -> str | int | None:
        """The exit code of a run that has ended with this one: another where it must not, or cannot, go on."""
        if termination.received() is not signal.SIGUSR2 or code != 128 + signal.SIGUSR2:
            return code
        told = record.read(self.sweep, self.number)
        submitted = None if told is None else told.time
        jobs = provenance.jobs_of(provenance.read(self.folder))
        ended = [job for job in jobs if job.get("signal") == signal.SIGUSR2.name]
        count = sum(job.get("submitted", {}).get("time") == submitted for job in ended)
        if count > self.timeouts:
            app.leave_error(
                self.folder,
                f"hydra.launcher.timeout_min: its time limit ended the job {count} times "
                f"(hydra.launcher.max_num_timeout={self.timeouts}); the same command goes on",
            )
            return 1
        return LOCAL_AGAIN if told is not None and told.cluster == "local" else code
