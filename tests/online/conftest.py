"""Real runs of the command line beside a real server. `.ci/wandb` runs these tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.online.server import KEY, Server

ROOT = Path(__file__).resolve().parents[2]
UNSET = "VSD_WANDB_SERVER is not set: NOTHING is tested against a W&B server here (.ci/wandb does it)"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that has started, with nothing in it."""
    command = os.environ.get("VSD_WANDB_SERVER")
    if not command:
        warnings.warn(UNSET, stacklevel=1)
        pytest.skip(UNSET)
    found = Server(command=command, folder=tmp_path / "server")
    found.start()
    yield found
    found.kill()


@dataclass
class Job:
    """A run of the command line that was started, and its folder."""

    process: subprocess.Popen[str]
    folder: Path

    @property
    def samples(self) -> int:
        """That are in its file so far."""
        file = self.folder / "samples.jsonl"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def until(self, samples: int) -> None:
        """Wait until it has so many."""
        limit = time.monotonic() + 120
        while self.samples < samples:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < limit
            time.sleep(0.05)

    @property
    def spent_s(self) -> float:
        """On W&B, by the run's own clock."""
        return float(self.folder.with_suffix(".spent").read_text())

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        said = self.process.communicate(timeout=240)[0]
        return self.process.returncode, said


Start = Callable[..., Job]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts ``vsd WORDS``, by default a run with logger=wandb at `address`."""
    jobs = list[Job]()

    def started(address: str, *words: str, name: str = "run", mode: str = "online") -> Job:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        environment |= {"WANDB_BASE_URL": address, "WANDB_API_KEY": KEY, "HOME": str(tmp_path / "home")}
        environment |= {"PYTHONPATH": str(ROOT), "COLUMNS": "400"}
        folder = tmp_path / name
        environment |= {"WANDB_MODE": mode, "VSD_SPENT": str(folder.with_suffix(".spent"))}
        run = [f"out={folder}", "logger=wandb", "callbacks=quiet", "max_new_tokens=24", "frames=16"]
        command = [sys.executable, "-m", "tests.online.clocked", *([] if words[:1] == ("upload",) else run), *words]
        job = Job(
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
                cwd=tmp_path,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background ignores it
            ),
            folder,
        )
        jobs.append(job)
        return job

    yield started
    for job in jobs:
        if job.process.poll() is None:
            job.process.kill()
            job.process.wait()
