"""Two workers at one study: as many trials as were asked for, none of them twice, also where one worker is killed."""

from __future__ import annotations

import csv
import multiprocessing
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import ROOT
from vsd.commands import study
from vsd.commands.study import trials as study_trials
from vsd.run.locks import is_locked, locked

optuna = pytest.importorskip("optuna", reason="comes with vsd[study]")


def worker(folder: Path, trials: int, space: str, *, seconds: float = 0.15) -> BaseProcess:
    """A process at the study, whose trials only wait and leave a line of when they did."""

    def run(overrides: Sequence[str], folder: Path, goals: study_trials.Goals) -> list[float]:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "work.txt").open("a") as file:
            print(time.time(), file=file, end=" ", flush=True)
            time.sleep(seconds)
            print(time.time(), file=file)
        return [1.0]

    def main() -> None:
        study_trials.run = run
        words = ["--maximize", "accept/length", "--folder", str(folder), "--trials", str(trials), "--seed", "7", space]
        sys.exit(study.main(words))

    process = multiprocessing.get_context("fork").Process(target=main)
    process.start()
    return process


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as stream:
        return list(csv.DictReader(stream))


def finish(*workers: BaseProcess) -> None:
    for each in workers:
        each.join(60)
        assert each.exitcode == 0


def test_two_workers_end_with_the_trials_asked_for(tmp_path: Path) -> None:
    finish(*(worker(tmp_path, 5, "ratio=interval(0.1,0.9)") for _ in range(2)))
    finish(worker(tmp_path, 5, "ratio=interval(0.1,0.9)"))  # nothing is left to do
    assert Counter(row["state"] for row in rows(tmp_path)) == {"complete": 5}
    assert len({row["ratio"] for row in rows(tmp_path)}) == 5  # of one seed, and yet no value twice
    assert len(list(tmp_path.glob("ratio=*/work.txt"))) == 5


def test_the_same_settings_are_not_at_work_at_once(tmp_path: Path) -> None:
    finish(*(worker(tmp_path, 4, "ratio=interval(0.5,0.5)") for _ in range(2)))
    (file,) = tmp_path.glob("ratio=*/work.txt")
    spans = sorted(tuple(map(float, line.split())) for line in file.read_text().splitlines())
    assert len(spans) == 4
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_another_trial_is_begun_for_one_that_was_killed(tmp_path: Path) -> None:
    first = worker(tmp_path, 2, "ratio=interval(0.1,0.9)", seconds=60)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("ratio=*/work.txt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    first.kill()
    first.join()
    finish(worker(tmp_path, 2, "ratio=interval(0.1,0.9)"))
    assert Counter(row["state"] for row in rows(tmp_path)) == {"complete": 2, "running": 1}


def test_a_trial_at_work_elsewhere_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    def run(*_: Any) -> list[float]:
        at_work.set()
        go_on.wait(60)
        return [1.0]

    monkeypatch.setattr(study_trials, "run", run)
    monkeypatch.chdir(ROOT)
    words = ["--maximize", "accept/length", "--folder", str(tmp_path), "--trials", "1", "ratio=interval(0.1,0.9)"]
    codes = list[int]()
    other = threading.Thread(target=lambda: codes.append(study.main(words)))
    other.start()
    assert at_work.wait(60)
    assert study.main(words) == 0  # there is nothing to begin, and nothing has failed
    assert [row["state"] for row in rows(tmp_path)] == ["running"]
    go_on.set()
    other.join(60)
    assert codes == [0]
    assert [row["state"] for row in rows(tmp_path)] == ["complete"]


def test_a_lock_is_seen_and_let_go(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "none", "a")
    with locked(tmp_path, "a"):
        assert is_locked(tmp_path, "a")
        assert not is_locked(tmp_path, "b")
    assert not is_locked(tmp_path, "a")
