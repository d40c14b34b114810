"""A server that is not there, or hangs, costs a run a few seconds and nothing else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.results.made import a_record, a_run
from tests.tracking.servers import answering, closed, silent
from tests.tracking.wandb_file import sent_by_last
from vsd.run.results.run import Run
from vsd.run.tracking import login
from vsd.run.tracking.patience import GaveUp, Patience, answers
from vsd.run.tracking.tracker import Tracker

KEY = 40 * "a"
LOST_S = 10.0


def a_whole_run(folder: Path) -> tuple[Run, Tracker, float]:
    """Three samples; the seconds that it spent on W&B."""
    records = [a_record(f"v{number}", [3, 5, number], 5.0) for number in range(3)]
    run, tracker = a_run(records, folder=folder, provenance={"job": "abc", "config": "c"}), Tracker(folder=str(folder))
    began = time.monotonic()
    tracker.follow(replace(run, records=()))
    tracker.begin()
    for record in records:
        tracker.add(record)
    tracker.end(records, run.summary)
    tracker.close(0)
    return run, tracker, time.monotonic() - began


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (closed, "it does not answer"),
        (silent, "it does not answer"),
        (lambda: answering(503), "it does not answer"),
        (lambda: answering(401, b'{"errors": [{"message": "user is not logged in"}]}'), ""),
    ],
    ids=["closed", "silent", "broken", "refuses the login"],
)
def test_a_run_goes_on_offline(
    server: Callable[[], AbstractContextManager[str]],
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with server() as address, caplog.at_level(logging.WARNING):
        monkeypatch.setenv("WANDB_BASE_URL", address)
        run, tracker, spent_s = a_whole_run(tmp_path / "run")
    assert spent_s < LOST_S
    said = [each.getMessage() for each in caplog.records if "W&B" in each.getMessage()]
    assert len(said) == 1
    assert address in said[0]
    assert why in said[0]
    assert f"vsd upload {tmp_path / 'run'}" in said[0]
    assert "wandb sync" in tracker.brief
    sent = sent_by_last(tmp_path / "run")
    assert [row["sample"] for row in sent.steps] == [1, 2, 3]
    assert {name: sent.summary[name] for name in run.summary.values} == run.summary.values
    assert sent.exit_code == 0


@pytest.mark.parametrize("key", ["short", "with space in it " * 3])
def test_a_key_of_the_wrong_form_costs_no_run(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    with answering(200) as address:
        monkeypatch.setenv("WANDB_BASE_URL", address)
        spent_s = a_whole_run(tmp_path / "run")[2]
    assert spent_s < LOST_S
    assert caplog.text.count("W&B:") == 1
    assert "cannot be used" in caplog.text


@pytest.mark.parametrize("folder", ["full", "taken"])
def test_a_folder_that_takes_no_files_costs_no_run(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "wandb").write_text("a file in its place")
    run, tracker, spent_s = a_whole_run(tmp_path / "run" if folder == "taken" else Path("/dev/full/run"))
    assert spent_s < LOST_S
    assert caplog.text.count("W&B:") == (1 if tracker.lost else 0)
    assert run.records


@pytest.mark.parametrize(
    ("server", "there"),
    [(closed, False), (silent, False), (lambda: answering(500), False), (lambda: answering(401), True)],
    ids=["closed", "silent", "broken", "refusing"],
)
def test_who_answers(server: Callable[[], AbstractContextManager[str]], there: bool) -> None:
    with server() as address:
        assert answers(address) is there


def test_work_is_waited_for_while_the_server_answers() -> None:
    def work() -> str:
        time.sleep(1.2)
        return "done"

    assert Patience(lambda: True, silent_s=0.1).call(work) == "done"


def test_silence_counts_over_all_work() -> None:
    patience, stop = Patience(lambda: False, silent_s=1.5), threading.Event()
    patience.call(lambda: time.sleep(0.7))  # half a second of silence is forgiven
    began = time.monotonic()
    with pytest.raises(GaveUp, match="does not answer"):
        patience.call(stop.wait)
    assert time.monotonic() - began < 1.5
    began = time.monotonic()
    with pytest.raises(GaveUp):
        patience.call(stop.wait)
    assert time.monotonic() - began < 0.8
    stop.set()


def test_work_that_never_ends_is_given_up_even_if_the_server_answers() -> None:
    stop = threading.Event()
    with pytest.raises(GaveUp, match="not done"):
        Patience(lambda: True, longest_s=0.6).call(stop.wait)
    stop.set()


def test_what_work_raises_is_raised() -> None:
    def broken() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        Patience(lambda: True).call(broken)


def test_a_login_counts_as_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not login.has_login()
    assert login.mode() == "offline"
    netrc = tmp_path / "netrc"
    host = login.server().partition("://")[2]
    netrc.write_text(f"machine {host}\n  login user\n  password {KEY}\n")
    netrc.chmod(0o600)
    assert login.mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert login.mode() == "offline"
    netrc.unlink()
    monkeypatch.delenv("WANDB_MODE")
    assert login.mode() == "offline"
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert login.mode() == "online"
