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
from vsd.run.cluster.slurm import statuses

SAMPLES = 6
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

    def job(self, number: int) -> str:
        told = record.read(self.folder, number)
        return "" if told is None else told.job

    def rows(self, number: int) -> list[dict[str, Any]]:
        file = self.folder / str(number) / "samples.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def told(self, number: int) -> dict[str, Any]:
        file = self.folder / str(number) / "provenance.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def at_work(self, number: int) -> bool:
        """It runs, has finished a sample and has several to go."""
        status = statuses([self.job(number)]).get(self.job(number))
        return status is not None and status.state == "RUNNING" and 1 <= len(self.rows(number)) <= SAMPLES - 2

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


def at_once(job: str) -> None:
    """Slurm keeps a requeued job for two minutes; a test does not wait for them."""
    until(lambda: statuses([job])[job].queued)
    subprocess.run(["scontrol", "update", f"job={job}", "StartTime=now"], check=False, capture_output=True)


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
    until(lambda: sweep.at_work(0))
    slurm("scancel", sweep.job(0))
    until(lambda: sweep.at_work(1))
    subprocess.run(["kill", "-KILL", str(sweep.told(1)["pid"])], check=True)
    until(lambda: sweep.at_work(2))
    slurm("scontrol", "requeue", sweep.job(2))
    at_once(sweep.job(2))
    until(lambda: sweep.at_work(3))
    slow(sweep.told(3)["pid"], lambda: slurm("scontrol", "update", f"job={sweep.job(3)}", "TimeLimit=1"))
    until(lambda: statuses([sweep.job(3)])[sweep.job(3)].queued)
    slurm("scontrol", "update", f"job={sweep.job(3)}", "TimeLimit=4", "StartTime=now")
    until(lambda: sweep.at_work(4) or sweep.at_work(5))
    urgent = slurm("sbatch", "--parsable", "--partition=urgent", "--cpus-per-task=2", "--output=none", "--wrap=sleep 3")
    until(lambda: statuses([urgent.strip()])[urgent.strip()].ended)
    for number in (4, 5):
        if statuses([sweep.job(number)])[sweep.job(number)].queued:
            at_once(sweep.job(number))
    assert second.wait(300) == 1
    shown = said.read_text()
    assert "9 of 12 jobs done, 0 running, 0 queued, 3 failed" in shown
    failed = {number for number in range(12) if (sweep.folder / str(number) / "error.txt").exists()}
    assert failed == {0, 1, 11}
    for number, how in {
        0: "ended as CANCELLED",
        1: "ended as FAILED (exit code 9)",
        11: "left the queue before",
    }.items():
        assert f"job {number} Slurm: job {sweep.job(number)} {how}" in " ".join(shown.split())
    stopped = [each.get("signal") for number in (3, 4, 5) for each in sweep.told(number)["earlier"]]
    assert {"SIGUSR2", "SIGTERM"} <= set(stopped)

    edit(checkout / "conf" / "config.yaml", *EDITED[::-1])
    edit(code, "raise RuntimeError\n", "# edited\n")
    assert begin(*command).wait(300) == 0
    assert "3 jobs are submitted; 9 are finished" in said.read_text()
    assert len([*(sweep.folder / ".code").iterdir()]) == 2
    compare(sweep, undisturbed(begin, tmp_path / "calm"))
    told = sweep.told(3)
    assert told["command"].endswith(" ".join(command[-2:]))
    assert (told["slurm"]["array"], told["slurm"]["task"], told["slurm"]["restarts"]) == (array, "3", 1)
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
    assert begin("-m", *DIALS, f"out={folder}").wait(300) == 0
    return Sweep(folder)


def compare(sweep: Sweep, calm: Sweep) -> None:
    for number in range(12):
        ids = Counter(row["id"] for row in sweep.rows(number))
        assert ids == Counter(row["id"] for row in calm.rows(number))
        assert set(ids.values()) == {1}
        assert len(ids) == SAMPLES
        assert sweep.metrics(number) == pytest.approx(calm.metrics(number), nan_ok=True)
