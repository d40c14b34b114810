"""The state of the machine beside cached times: what others use, the clock, and a warning where it is another."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.app.conftest import Compose, FakeEngine
from vsd.run import app, machine, notices
from vsd.run.machine import MachineMeter, MachineState, unlike

QUIET = MachineState(load=1.0, others=0.1, mhz=3000.0)


def burn(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_our_own_work_is_not_the_others() -> None:
    """Counted by the process's own CPU time; what else works on this machine meanwhile may be anything."""
    before, _, ours = machine._seconds()
    burn(0.5)
    after, _, later = machine._seconds()
    assert 0.45 <= later - ours <= after - before + 0.1


def test_what_we_have_started_is_ours_while_it_works_and_afterwards() -> None:
    ours = machine._seconds()[2]
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(1.0)
        working = machine._seconds()[2] - ours
    finally:
        child.kill()
        child.wait()
    assert working > 0.1
    assert machine._seconds()[2] - ours >= working - 0.05


def test_others_are_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([(0.0, 100.0, 5.0), (10.0, 130.0, 15.0), (10.1, 131.0, 15.0), (20.0, 150.0, 35.0)])
    monkeypatch.setattr(machine, "_seconds", lambda: next(looks))
    meter = MachineMeter()
    # 30 s of all cores less 10 of ours in 10 s; too short a time; nothing
    assert [meter.look().others for _ in range(3)] == [2.0, 2.0, 0.0]


def test_what_makes_times_incomparable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert unlike(QUIET, replace(QUIET, load=7.0, others=3.9, mhz=3200.0)) == ""
    assert unlike(MachineState(), QUIET) == ""
    assert unlike(replace(QUIET, others=4.0), QUIET) == "others kept 4.0 of 8 cores busy, now 0.1"
    assert unlike(MachineState(), replace(QUIET, others=5.0)) == "others kept ? of 8 cores busy, now 5.0"
    slow = replace(QUIET, mhz=2000.0)
    assert unlike(QUIET, slow) == "the CPU's clock was 3000 MHz, now 2000"
    assert unlike(replace(QUIET, gpu_mhz=1980.0), replace(slow, gpu_mhz=900.0)) == (
        "the CPU's clock was 3000 MHz, now 2000; the GPU's clock was 1980 MHz, now 900"
    )


@pytest.fixture
def warned(
    configure: Compose,
    pair: list[str],
    clips: Path,
    fake: FakeEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Callable[..., list[str]]:
    """Runs with cached baselines while the machine is in this state, and gives the warnings."""

    monkeypatch.setattr(notices, "busy_machine", list)  # what works beside this test

    def run(name: str, state: MachineState, *overrides: str) -> list[str]:
        caplog.clear()
        monkeypatch.setattr(MachineMeter, "look", lambda self: state)
        cached = ["baseline=cache", f"baseline_folder={tmp_path / 'baselines'}", *overrides]
        app.run(configure(*pair, "data=folder", f"data.path={clips}", *cached), tmp_path / name)
        return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]

    return run


def test_a_cached_time_of_another_state_is_said_once(warned: Callable[..., list[str]]) -> None:
    assert warned("one", QUIET) == []
    assert warned("two", QUIET, "ratio=0.5") == []
    (said,) = warned("three", replace(QUIET, mhz=1500.0), "ratio=0.6")
    assert said == (
        "baseline=cache: when the target alone was timed, the CPU's clock was 3000 MHz, now 1500: speed-ups will be "
        "off (baseline=true times it beside each run)"
    )
    assert warned("four", replace(QUIET, mhz=1500.0), "ratio=0.6", "baseline=true") == []
