"""What a cluster's process does with a job: it refuses another code or config than was submitted, and leaves so that it
is begun again when it is asked to end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import open_dict, read_write

from tests.app.conftest import ROOT, FakeEngine
from vsd.run import locks
from vsd.run.cluster import job as cluster_job
from vsd.run.cluster import record
from vsd.run.cluster.job import Job
from vsd.run.cluster.record import Submitted
from vsd.run.cluster.snapshot import current_digest
from vsd.types import Trace, Video


@pytest.fixture(autouse=True)
def _no_job_before() -> Iterator[None]:
    yield
    HydraConfig.instance().cfg = None


@pytest.fixture
def job(clips: Path, fake: FakeEngine, tmp_path: Path) -> Job:
    """A submitted one over four videos."""
    sweep = tmp_path / "sweep"
    words = ["data=folder", f"data.path={clips}", "frames=4", "callbacks=quiet", "hydra/job_logging=none"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", overrides=words, return_hydra_config=True)
    with read_write(config), open_dict(config):
        config.hydra.mode = RunMode.MULTIRUN
        config.hydra.job.num, config.hydra.sweep.dir, config.out = 3, str(sweep), str(sweep / "3")
    found = Job(sweep=sweep, number=3, config=config, folder=sweep / "3", timeouts=1)
    Submitted(
        number=3,
        time="2026-11-27T02:00:00+00:00",
        command="vsd -m ratio=0.5,0.9",
        overrides=("ratio=0.9",),
        config=record.config_fingerprint(config),
        digest=current_digest(),
        code="",
        commit=None,
        dirty=False,
        cluster="slurm",
        job="12_3",
    ).write(sweep)
    return found


@dataclass
class Ending(FakeEngine):
    """Is told to end while it decodes, once."""

    sent: signal.Signals = signal.SIGTERM
    at: int = 4

    def run(self, video: Video, question: str, *, seed: int = 0) -> Trace:
        if self.calls + 1 == self.at:
            self.at = 0
            os.kill(os.getpid(), self.sent)
        return super().run(video, question, seed=seed)


@pytest.fixture
def ends_with(monkeypatch: pytest.MonkeyPatch, fake: FakeEngine) -> Callable[[signal.Signals], None]:
    def chosen(sent: signal.Signals) -> None:
        engine = Ending(sent=sent)
        monkeypatch.setattr("vsd.run.app.build_engine", lambda cfg, methods: engine)

    return chosen


def code_of(job: Job) -> object:
    with pytest.raises(SystemExit) as ended:
        job()
    return ended.value.code


def samples(job: Job) -> list[str]:
    return [json.loads(line)["id"] for line in (job.folder / "samples.jsonl").read_text().splitlines()]


def told(job: Job) -> dict[str, Any]:
    return dict(json.loads((job.folder / "provenance.json").read_text()))


def test_it_runs_and_its_command_is_the_user_s(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"JOB_ID": "15", "ARRAY_JOB_ID": "12", "ARRAY_TASK_ID": "3", "JOB_NODELIST": "n1", "RESTART_COUNT": "2"}
    for name, value in {**variables, "NTASKS": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    before = os.getcwd()
    assert job()["samples/done"] == 4
    assert os.getcwd() == before
    found = told(job)
    assert found["command"] == "vsd -m ratio=0.5,0.9"
    known = {"time": "2026-11-27T02:00:00+00:00", "code": current_digest()}
    assert found["submitted"] == {**known, "config": record.config_fingerprint(job.config)}
    assert {name: found["slurm"][name] for name in ("job", "array", "task", "nodes", "restarts")} == {
        "job": "15",
        "array": "12",
        "task": "3",
        "nodes": "n1",
        "restarts": 2,
    }


@pytest.mark.parametrize("name", ["config", "code"])
def test_another_code_or_config_than_was_submitted_is_refused(
    name: str, job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    known = record.read(job.sweep, 3)
    assert known is not None
    (replace(known, config="another") if name == "config" else replace(known, digest="another")).write(job.sweep)
    assert code_of(job) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {name}: must be as it was submitted (another, 2026-11-27T02:00:00+00:00), got")
    assert len(said.splitlines()) == 1
    assert f"error: {(job.folder / 'error.txt').read_text()}" == said
    assert not (job.folder / "samples.jsonl").exists()


def test_without_a_record_it_is_refused(job: Job) -> None:
    record.file_of(job.sweep, 3).unlink()
    assert code_of(job) == 2
    assert (job.folder / "error.txt").read_text().startswith("job 3: must be recorded at its submission, got no ")


def test_two_at_once_are_refused(job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cluster_job, "WAIT_S", 0.0)
    with locks.locked(job.sweep / record.FOLDER, "3"):
        assert code_of(job) == 2
    assert capsys.readouterr().err.startswith("error: job 3: must be alone in its folder")
    assert not (job.folder / "error.txt").exists()  # the folder is the other one's


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR2, 140)])
def test_a_signal_drops_the_sample_and_the_job_goes_on_with_it(
    sent: signal.Signals, code: int, job: Job, ends_with: Callable[[signal.Signals], None]
) -> None:
    ends_with(sent)
    assert code_of(job) == code
    assert 0 < len(samples(job)) < 4
    assert (told(job)["outcome"], told(job)["signal"]) == ("interrupted", sent.name)
    assert (job.folder / "metrics.json").exists()
    assert job()["samples/done"] == 4
    assert sorted(samples(job)) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert signal.getsignal(sent) == signal.SIG_DFL


def test_a_local_job_is_begun_again_by_submitit(job: Job, ends_with: Callable[[signal.Signals], None]) -> None:
    known = record.read(job.sweep, 3)
    assert known is not None
    replace(known, cluster="local").write(job.sweep)
    ends_with(signal.SIGUSR2)
    assert code_of(job) == 144


def test_after_too_many_time_limits_it_fails(job: Job, ends_with: Callable[[signal.Signals], None]) -> None:
    job = replace(job, timeouts=0)
    ends_with(signal.SIGUSR2)
    assert code_of(job) == 1
    said = (job.folder / "error.txt").read_text()
    assert "its time limit ended the job 1 times (hydra.launcher.max_num_timeout=0)" in said


def test_the_command_again_counts_time_limits_anew(job: Job, ends_with: Callable[[signal.Signals], None]) -> None:
    job, known = replace(job, timeouts=1), record.read(job.sweep, 3)
    assert known is not None
    for day in (27, 28):
        replace(known, time=f"2026-11-{day}T02:00:00+00:00").write(job.sweep)
        ends_with(signal.SIGUSR2)
        assert code_of(job) == 140
        (job.folder / "samples.jsonl").unlink()  # so that there is time for it again


def test_a_run_that_fails_is_a_job_that_fails(job: Job) -> None:
    with read_write(job.config), open_dict(job.config):
        job.config.gamma = 0
    known = record.read(job.sweep, 3)
    assert known is not None
    replace(known, config=record.config_fingerprint(job.config)).write(job.sweep)
    assert code_of(job) == 1
    assert (job.folder / "error.txt").read_text().startswith("gamma: must be")
