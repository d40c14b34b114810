"""A multirun on Slurm through all that happens to one: nothing finished is lost, nothing is decoded twice, and the same
command repairs what died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from vsd.run.cluster import record
from vsd.run.cluster.slurm import Status, statuses

SAMPLES = 8
DIALS = [
    *("pruner=uniform,random,frame", "ratio=0.5,0.7,0.9,0.95"),
    *(f"limit={SAMPLES}", "max_new_tokens=48", "report=short"),
]
SLURM = [
    "hydra/launcher=slurm",
    *(f"hydra.launcher.{each}" for each in ("cpus_per_task=1", "timeout_min=4", "signal_delay_s=60")),
]
EDITED = "gamma: 5 # tokens", "gamma: 2 # tokens"


class Sweep:
    """What the tests ask of a sweep's folder, and do to its jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.touched = set[int]()

    def job(self, number: int) -> str:
        told = record.read(self.folder, number)
        return "" if told is None else told.job

    def rows(self, number: int) -> list[dict[str, Any]]:
        file = self.folder / str(number) / "samples.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def told(self, number: int) -> dict[str, Any]:
        file = self.folder / str(number) / "provenance.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def status(self, number: int) -> Status:
        return statuses([self.job(number)])[self.job(number)]

    def one_at_work(self) -> int:
        """A job that nothing was done to, that runs, has finished a sample and has several to go."""
        end = time.monotonic() + 240
        while time.monotonic() < end:
            for number in range(12):
                free = number not in self.touched and 1 <= len(self.rows(number)) <= SAMPLES - 3
                if free and self.status(number).state == "RUNNING":
                    self.touched.add(number)
                    return number
            time.sleep(0.2)
        raise AssertionError("no job is at work")

    def do_not_wait(self) -> None:
        """Slurm keeps a requeued job for two minutes; a test does not wait for them."""
        jobs = [self.job(number) for number in range(12)]
        for job, status in statuses(jobs).items():
            if status.detail == "BeginTime":
                subprocess.run(["scontrol", "update", f"job={job}", "StartTime=now"], check=False, capture_output=True)

    def metrics(self, number: int) -> dict[str, float]:
        found = json.loads((self.folder / str(number) / "metrics.json").read_text())
        return {name: value for name, value in found.items() if name.startswith(("accept/", "samples/", "prune/"))}


def until(holds: Callable[[], object], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, holds
        time.sleep(0.2)


def slurm(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_a_sweep_through_everything(
    begin: Callable[..., subprocess.Popen[str]], checkout: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    sweep, said = Sweep(tmp_path / "sweep"), tmp_path / "said"
    command = ["-m", *SLURM, *DIALS, f"out={sweep.folder}"]

    first = begin(*command)
    until(lambda: "12 jobs are submitted" in said.read_text(), 60)
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 130
    array = sweep.job(0).partition("_")[0]
    assert f"scancel {array}_[0-11]" in said.read_text()

    second = begin(*command)
    until(lambda: "12 are at work already" in said.read_text(), 60)
    edit(checkout / "conf" / "config.yaml", *EDITED)
    code = checkout / "vsd" / "pruners" / "uniform.py"
    edit(code, "from __future__", "raise RuntimeError\nfrom __future__")
    slurm("scancel", sweep.job(11))  # before it begins
    cancelled = sweep.one_at_work()
    slurm("scancel", sweep.job(cancelled))
    killed = sweep.one_at_work()
    subprocess.run(["kill", "-KILL", str(sweep.told(killed)["pid"])], check=True)
    requeued = sweep.one_at_work()
    slurm("scontrol", "requeue", sweep.job(requeued))
    timed = sweep.one_at_work()
    slow(sweep.told(timed)["pid"], lambda: slurm("scontrol", "update", f"job={sweep.job(timed)}", "TimeLimit=1"))
    until(lambda: sweep.status(timed).queued)
    slurm("scontrol", "update", f"job={sweep.job(timed)}", "TimeLimit=4")
    preempted = sweep.one_at_work()
    slurm("sbatch", "--partition=urgent", "--cpus-per-task=2", "--output=none", "--wrap=sleep 2")
    while second.poll() is None:
        sweep.do_not_wait()
        time.sleep(1)
    assert second.wait() == 1
    shown = said.read_text()
    assert "9 of 12 jobs done, 0 running, 0 queued, 3 failed" in shown
    reasons = {cancelled: "ended as CANCELLED", killed: "ended as FAILED (exit code 9)", 11: "left the queue before"}
    assert {number for number in range(12) if (sweep.folder / f"{number}" / "error.txt").exists()} == {*reasons}
    for number, how in reasons.items():
        assert f"job {number} Slurm: job {sweep.job(number)} {how}" in " ".join(shown.split())
    for number, sent in {timed: "SIGUSR2", preempted: "SIGTERM"}.items():
        assert [each["signal"] for each in sweep.told(number)["earlier"]] == [sent]
    assert [sweep.told(number)["slurm"]["restarts"] for number in (requeued, timed, preempted)] == [1, 1, 1]

    edit(checkout / "conf" / "config.yaml", *EDITED[::-1])
    edit(code, "raise RuntimeError\n", "# edited\n")
    assert begin(*command).wait(300) == 0
    assert "3 jobs are submitted; 9 are finished" in said.read_text()
    assert len([*(sweep.folder / ".code").iterdir()]) == 2
    compare(sweep, undisturbed(begin, tmp_path / "calm"))
    told = sweep.told(timed)
    assert told["command"].endswith(" ".join(command[-2:]))
    assert (told["slurm"]["array"], told["slurm"]["task"]) == (array, f"{timed}")
    assert told["git"]["dirty"] is False


def slow(pid: int, limit: Callable[[], object]) -> None:
    """Hold a process until the signal comes that goes before a time limit: Slurm looks twice a minute. It wakes it."""
    os.kill(pid, signal.SIGSTOP)
    limit()
    until(lambda: not Path(f"/proc/{pid}").exists() or " (stopped)" not in status_of(pid), 60)


def status_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/status").read_text()
    return ""


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def undisturbed(begin: Callable[..., subprocess.Popen[str]], folder: Path) -> Sweep:
    """One process, no cluster."""
    assert begin("-m", *DIALS, "baseline=false", f"out={folder}").wait(300) == 0
    return Sweep(folder)


def compare(sweep: Sweep, calm: Sweep) -> None:
    for number in range(12):
        ids = Counter(row["id"] for row in sweep.rows(number))
        assert ids == Counter(row["id"] for row in calm.rows(number))
        assert set(ids.values()) == {1}
        assert len(ids) == SAMPLES
        assert sweep.metrics(number) == pytest.approx(calm.metrics(number), nan_ok=True)
