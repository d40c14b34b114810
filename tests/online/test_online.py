"""A run beside a server: what arrives while it goes on, and that nothing the server does can stop it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.online.conftest import Job, Start
from tests.online.proxy import watched
from tests.online.server import KEY, Server
from tests.tracking.servers import closed, silent
from vsd.run.results.run import load_run

LOST_S = 10.0
PRUNED = ("pruner=hippo", "ratio=0.9")


def run_id(job: Job) -> str:
    return str(load_run(job.folder).provenance["job"])


def metrics(job: Job) -> dict[str, float]:
    told: dict[str, float] = json.loads((job.folder / "metrics.json").read_text())
    return {name: value for name, value in told.items() if not name.endswith(("_low", "_high"))}


def assert_whole(server: Server, name: str, job: Job, samples: int) -> None:
    """The server holds every step and the numbers of metrics.json."""
    wanted = metrics(job)
    limit = time.monotonic() + 30
    while (held := server.runs()[name]["summary"]).get("samples/done") != wanted["samples/done"]:
        assert time.monotonic() < limit
        time.sleep(0.2)
    assert {key: held.get(key) for key in wanted} == wanted
    assert server.history(name, "sample") == {step: step for step in range(1, samples + 1)}


def test_the_history_grows_while_the_run_goes_on(server: Server, start: Start) -> None:
    # W&B sends every 15 s: the run has to take longer.
    job, seen = start(server.address, *PRUNED, "limit=48", "max_new_tokens=128", "frames=64"), list[int]()
    while job.process.poll() is None:
        for name in server.runs():
            seen.append(len(server.history(name, "sample")))
        time.sleep(0.25)
    code, said = job.ended()
    assert code == 0, said
    assert f"/runs/{run_id(job)}" in said
    assert "wandb:" not in said
    assert seen == sorted(seen)
    assert {count for count in seen if 0 < count < 48}, seen
    held = server.runs()[run_id(job)]
    assert held["name"] == "hippo 0.9 max_new_tokens 128 frames 64 · tiny_qwen"
    assert held["tags"] == ["hippo", "chain", "greedy", "sequential", "inline"]
    assert held["config"]["pruner"] in ("hippo", {"value": "hippo"})
    assert_whole(server, run_id(job), job, 48)


def test_a_server_that_is_killed_and_comes_back_misses_nothing(server: Server, start: Start) -> None:
    job = start(server.address, *PRUNED, "limit=9")
    job.until(3)
    server.kill()
    job.until(5)
    server.start()
    code, said = job.ended()
    assert code == 0, said
    again = start(server.address, "upload", str(job.folder))
    assert again.ended()[0] == 0
    assert_whole(server, run_id(job), job, 9)


@pytest.fixture
def offline_s(start: Start) -> float:
    """What W&B costs a run that asks no server."""
    job = start("http://127.0.0.1:1", *PRUNED, "limit=6", name="offline", mode="offline")
    assert job.ended()[0] == 0
    return job.spent_s


def test_a_server_that_is_killed_for_good_costs_little(server: Server, start: Start, offline_s: float) -> None:
    job = start(server.address, *PRUNED, "limit=6")
    job.until(2)
    server.kill()
    code, said = job.ended()
    assert code == 0, said
    assert job.spent_s - offline_s < LOST_S, said
    assert f"vsd upload {job.folder}" in said
    server.start()
    assert start(server.address, "upload", str(job.folder)).ended()[0] == 0
    assert_whole(server, run_id(job), job, 6)


def test_a_server_that_never_answers_costs_little(server: Server, start: Start, offline_s: float) -> None:
    with silent() as address:  # that of a closed port is quicker known: tests/tracking
        job = start(address, *PRUNED, "limit=6")
        code, said = job.ended()
    assert code == 0, said
    assert job.spent_s - offline_s < LOST_S, said
    assert "does not answer" in said
    assert start(server.address, "upload", str(job.folder)).ended()[0] == 0
    assert_whole(server, run_id(job), job, 6)


def test_how_a_run_ended_is_how_it_ends_there(server: Server, start: Start, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"no video")
    with watched(server.address) as (address, ends):
        done, bad = (
            start(address, *PRUNED, "limit=1", name="done"),
            start(address, "data=folder", "data.path=videos", name="bad"),
        )
        assert (done.ended()[0], bad.ended()[0]) == (0, 1)
        stopped = start(address, *PRUNED, "limit=64", name="stopped")
        stopped.until(2)
        stopped.process.send_signal(signal.SIGINT)
        assert stopped.ended()[0] == 130
        killed = start(address, *PRUNED, "limit=64", name="killed")
        killed.until(2)
        os.kill(killed.process.pid, signal.SIGKILL)
        killed.process.wait()
        time.sleep(5)  # its service ends by itself
        codes = {job.folder.name: ends.get(run_id(job)) for job in (done, bad, stopped, killed)}
    assert codes["done"] == 0
    assert codes["bad"] == 1
    assert codes["stopped"] == 130
    assert codes["killed"] != 0
    refused = start(server.address, "gamma=0", name="refused")
    assert refused.ended()[0] == 2
    assert len(server.runs()) == 4


def test_an_interrupted_run_goes_on_in_the_same_run(server: Server, start: Start) -> None:
    job = start(server.address, *PRUNED, "limit=6")
    job.until(3)
    job.process.send_signal(signal.SIGINT)
    assert job.ended()[0] == 130
    name = run_id(job)
    again = start(server.address, *PRUNED, "limit=6")
    code, said = again.ended()
    assert code == 0, said
    assert [*server.runs()] == [name]
    assert_whole(server, name, again, 6)


def test_what_was_written_offline_is_synced(server: Server, start: Start) -> None:
    """W&B's own `wandb sync` takes what an offline run left."""
    with closed() as address:
        job = start(address, *PRUNED, "limit=3")
        assert job.ended()[0] == 0
    (left,) = job.folder.glob("wandb/offline-run-*")
    environment = {**os.environ, "WANDB_BASE_URL": server.address, "WANDB_API_KEY": KEY}
    subprocess.run(
        [sys.executable, "-m", "wandb", "sync", str(left)], check=True, env=environment, timeout=120, cwd=job.folder
    )
    assert_whole(server, run_id(job), job, 3)
