"""What is submitted and what is not, without a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from vsd.run import provenance
from vsd.run.app import UsageError
from vsd.run.cluster import launcher, plugin, pools, record, slurm, snapshot
from vsd.run.cluster.job import Job
from vsd.run.cluster.pools import Local, Slurm
from vsd.run.cluster.progress import Asked
from vsd.run.cluster.slurm import Status
from vsd.run.cluster.snapshot import Code
from vsd.run.cluster.watch import Watched
from vsd.run.schema import SCHEMA

ROOT = Path(__file__).resolve().parents[2]


class Submits:
    """A cluster that takes jobs and does nothing with them."""

    name = "slurm"

    def __init__(self) -> None:
        self.taken: list[int] = []

    def submit(self, jobs: list[Job], sweep: Path, code: str) -> list[str]:
        self.taken += [job.number for job in jobs]
        return [f"9_{place}" for place, _ in enumerate(jobs)]

    def statuses(self, jobs: list[str]) -> dict[str, Status]:
        return {}


@pytest.fixture(autouse=True)
def _frozen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(snapshot, "freeze", lambda sweep: Code(digest="abc", folder=str(tmp_path / "code")))


def a_job(sweep: Path, number: int, gamma: int = 5) -> Job:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", overrides=[f"gamma={gamma}", "limit=4"], return_hydra_config=True)
    with read_write(config), open_dict(config):
        config.hydra.job.num, config.hydra.sweep.dir, config.out = number, str(sweep), str(sweep / f"{number}")
    return Job(sweep=sweep, number=number, config=config, folder=sweep / f"{number}", timeouts=1)


def submitted(jobs: list[Job], monkeypatch: pytest.MonkeyPatch, known: dict[str, Status] | None = None) -> list[int]:
    monkeypatch.setattr(slurm, "statuses", lambda ids: known or {})
    pool = Submits()
    launcher._watched(jobs, pool, [])  # type: ignore[arg-type]
    return pool.taken


def finish(job: Job, *, outcome: str | None = "done", error: str = "") -> None:
    submitted = record.read(job.sweep, job.number)
    assert submitted is not None
    told = {"schema": SCHEMA, **provenance.of_submission(submitted)}
    provenance.write(job.folder, told | ({"outcome": outcome} if outcome else {}))
    if error:
        (job.folder / "error.txt").write_text(error)


def test_all_at_first_and_what_is_recorded_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [a_job(tmp_path, number, gamma=3 + number) for number in range(2)]
    assert submitted(jobs, monkeypatch) == [0, 1]
    told = record.read(tmp_path, 1)
    assert told is not None
    assert (told.job, told.digest, told.code) == ("9_1", "abc", str(tmp_path / "code"))
    assert told.command == provenance.command()
    assert told.config == record.config_fingerprint(jobs[1].config) != record.config_fingerprint(jobs[0].config)
    assert "gamma: 4" in (tmp_path / "1" / ".hydra" / "config.yaml").read_text()
    assert OmegaConf.load(tmp_path / "1" / ".hydra" / "overrides.yaml") == ["gamma=4", "limit=4"]


def test_a_repeated_command_submits_what_is_neither_done_nor_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [a_job(tmp_path, number) for number in range(5)]
    submitted(jobs, monkeypatch)
    finish(jobs[0])
    finish(jobs[1], outcome=None)
    finish(jobs[2], outcome="failed", error="Slurm: job 9_2 ended as OUT_OF_MEMORY")
    known = {"9_1": Status("RUNNING"), "9_2": Status("OUT_OF_MEMORY"), "9_3": Status("PENDING")}
    assert submitted(jobs, monkeypatch, {**known, "9_4": slurm.GONE}) == [2, 4]
    assert not (jobs[2].folder / "error.txt").exists()  # it is no failed one any more


def test_a_finished_job_with_failed_samples_or_another_config_is_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [a_job(tmp_path, number) for number in range(2)]
    submitted(jobs, monkeypatch)
    for job in jobs:
        finish(job)
    (jobs[0].folder / "metrics.json").write_text(json.dumps({"samples/failed": 1}))
    other = [jobs[0], a_job(tmp_path, 1, gamma=7)]
    assert submitted(other, monkeypatch) == [0, 1]
    assert submitted(other, monkeypatch) == [0, 1]  # neither has begun since


def test_a_job_at_work_gets_no_other_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted([a_job(tmp_path, 0)], monkeypatch)
    with pytest.raises(UsageError, match=r"^job 0: must have ended .* got Slurm's job 9_0 at work \(scancel 9_0\)"):
        submitted([a_job(tmp_path, 0, gamma=7)], monkeypatch, {"9_0": Status("RUNNING")})
    known = record.read(tmp_path, 0)
    assert known is not None
    replace(known, digest="older code").write(tmp_path)  # which is no reason: it keeps its own
    assert submitted([a_job(tmp_path, 0)], monkeypatch, {"9_0": Status("RUNNING")}) == []


@pytest.mark.parametrize("name", ["slurm", "local"])
def test_hydra_finds_them(name: str) -> None:
    plugin.register()
    node = OmegaConf.load(ROOT / "conf" / "hydra" / "launcher" / f"{name}.yaml")
    assert isinstance(node, DictConfig)
    launcher_of = Plugins.instance()._instantiate(node)
    assert type(launcher_of).__name__ == node._target_.rpartition(".")[2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"timeout_min": 0}, r"hydra.launcher.timeout_min: must be a whole number, at least 1, got 0"),
        (
            {"timeout_min": 2, "signal_delay_s": 90},
            r"hydra.launcher.signal_delay_s: must leave a job a minute of its 120",
        ),
        ({"max_num_timeout": -1}, r"hydra.launcher.max_num_timeout: must be a whole number, at least 0, got -1"),
        ({"mem_gb": "many"}, r"hydra.launcher: must be what submitit takes, got: .*mem_gb"),
        ({"nodez": 1}, r"hydra.launcher: must be what submitit takes, got: .*nodez"),
        ({"array_parallelism": 0}, r"hydra.launcher.array_parallelism: must be a whole number, at least 1, got 0"),
        ({"max_num_timeout": None}, r"hydra.launcher.max_num_timeout: must be a whole number, at least 0, got None"),
        ({"signal_delay_s": None}, r"hydra.launcher.signal_delay_s: must be a whole number, at least 1, got None"),
        ({"setup": "module load cuda"}, r"hydra.launcher.setup: must be a list of lines .*, got 'module load cuda'"),
        ({"additional_parameters": "a=b"}, r"hydra.launcher.additional_parameters: must be options of sbatch"),
    ],
)
def test_fields_that_cannot_be(given: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools.shutil, "which", lambda name: f"/usr/bin/{name}")  # type: ignore[attr-defined]
    node = OmegaConf.load(ROOT / "conf" / "hydra" / "launcher" / "slurm.yaml")
    plain: Any = OmegaConf.to_container(node)
    del plain["_target_"]
    with pytest.raises(UsageError, match=f"^{message}"):
        launcher._pool("slurm", {**plain, **given})


def test_without_slurm_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools.shutil, "which", lambda name: None)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"^hydra/launcher: must be another than slurm where there is no sbatch"):
        Slurm({"timeout_min": 60, "signal_delay_s": 90})


def test_the_config_counts_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a variable stands for here is not what it stands for in the job."""
    job = a_job(tmp_path, 0)
    with read_write(job.config), open_dict(job.config):
        job.config.data.path, job.config.seed = "${oc.env:FILMS}", "${hydra:job.num}"
    found = set()
    for films in ("here", "there"):
        monkeypatch.setenv("FILMS", films)
        found.add(record.config_fingerprint(job.config))
    assert len(found) == 1
    assert record.config_fingerprint(a_job(tmp_path, 0).config) not in found


def test_each_job_is_counted_with_its_own_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, jobs = list[str](), [a_job(tmp_path, number) for number in range(3)]

    def of(self: Asked, config: DictConfig) -> None:
        seen.append(config.shard)

    for job in jobs:
        with read_write(job.config), open_dict(job.config):
            job.config.shard = "${hydra:job.num}/3"
    monkeypatch.setattr(Asked, "of", of)
    submitted(jobs, monkeypatch)
    assert seen == ["0/3", "1/3", "2/3"]


def test_ctrl_c_within_a_submission_comes_after_it_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    class Interrupted(Submits):
        def submit(self, jobs: list[Job], sweep: Path, code: str) -> list[str]:
            os.kill(os.getpid(), signal.SIGINT)
            child = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=True)
            assert child.stdout.strip() == "True"  # sbatch is not interrupted either
            return super().submit(jobs, sweep, code)

    monkeypatch.setattr(slurm, "statuses", lambda ids: {})
    watched = list[Watched]()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with pytest.raises(KeyboardInterrupt):
        launcher._watched([a_job(tmp_path, 0)], Interrupted(), watched)  # type: ignore[arg-type]
    told = record.read(tmp_path, 0)
    assert told is not None
    assert (told.job, [job.job for job in watched]) == ("9_0", ["9_0"])
    with pytest.raises(KeyboardInterrupt):  # and is itself again
        signal.raise_signal(signal.SIGINT)


BLOCKED = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))"


def on_gpus(jobs: list[Job], device: str) -> list[Job]:
    for job in jobs:
        with read_write(job.config):
            job.config.device = device
    return jobs


def test_local_jobs_have_gpus_to_themselves_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-aa,5,7,0")
    pool, given, done = Local({"gpus_per_job": 2, "timeout_min": 5}), list[list[str]](), set[int]()

    def begin(self: Local, job: Job, own: list[str]) -> Any:
        given.append([*own])
        paths = type("", (), {"result_pickle": tmp_path})
        return type("", (), {"done": lambda self: job.number in done, "paths": paths})()

    monkeypatch.setattr(Local, "_begin", begin)
    jobs = on_gpus([a_job(tmp_path, number) for number in range(4)], "cuda:1")
    pool.check(jobs)
    ids = pool.submit(jobs, tmp_path, "")
    pool.statuses(ids)
    assert given == [["3", "GPU-aa"], ["5", "7"]]  # and no third at once
    done.add(0)
    pool.statuses(ids)
    assert given[2:] == [["0", "3"]]


@pytest.mark.parametrize("own", [["5", "7"], []])
def test_a_local_job_sees_its_gpus_or_what_this_process_does(
    own: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,4")
    used = list[str]()
    executor = type("", (), {"submit": lambda self, job: job})()

    def made(cluster: str, sweep: Path, python: str, params: dict[str, Any]) -> Any:
        used.append(python)
        return executor

    monkeypatch.setattr(pools, "_executor", made)
    Local({"timeout_min": 5})._begin(a_job(tmp_path, 0), own)
    assert f"CUDA_VISIBLE_DEVICES={','.join(own) or '1,4'} " in used[-1]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    Local({"timeout_min": 5})._begin(a_job(tmp_path, 0), [])
    assert used[-1].startswith("env -u CUDA_VISIBLE_DEVICES ")


@pytest.mark.parametrize(
    ("visible", "gpus_per_job", "device", "message"),
    [
        ("", 0, "cuda", r"device: must be cpu or one of the 0 GPUs that a job sees, got cuda"),
        ("2", 0, "cuda:1", r"device: must be cpu or one of the 1 GPUs that a job sees, got cuda:1"),
        (
            "2,3",
            1,
            "cuda:1",
            r"device: must be cpu or one of the 1 GPUs that a job sees \(hydra.launcher.gpus_per_job\), got",
        ),
        ("2,-1,3", 2, "cuda", r"hydra.launcher.gpus_per_job: must be at most the 1 GPUs seen here, got 2"),
    ],
)
def test_too_few_gpus_are_refused(
    visible: str, gpus_per_job: int, device: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(UsageError, match=f"^{message}"):
        Local({"gpus_per_job": gpus_per_job, "timeout_min": 5}).check(on_gpus([a_job(tmp_path, 0)], device))


def test_a_finished_job_without_hydra_s_files_gets_them_again(tmp_path: Path) -> None:
    launcher._mark([a_job(tmp_path, 0)])
    assert (tmp_path / "0" / ".hydra" / "overrides.yaml").exists()


def test_local_jobs_are_begun_when_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, given = Local({"array_parallelism": 2, "timeout_min": 5}), list[list[str]]()
    done = set[str]()

    class Started:
        def __init__(self, number: int) -> None:
            self.name = f"{number}"
            self.paths = type("", (), {"result_pickle": tmp_path / self.name})

        def done(self) -> bool:
            return self.name in done

    jobs = [a_job(tmp_path, number) for number in range(3)]
    ids = pool.submit(jobs, tmp_path, "")

    def begin(self: Local, job: Job, own: list[str]) -> Started:
        given.append([*own])
        return Started(job.number)

    monkeypatch.setattr(Local, "_begin", begin)
    assert [status.state for status in pool.statuses(ids).values()] == ["RUNNING", "RUNNING", "PENDING"]
    done.add("1")
    assert [status.state for status in pool.statuses(ids).values()] == ["RUNNING", "FAILED", "RUNNING"]
    assert given == [[], [], []]


def test_no_other_hydra_program_of_the_environment_finds_anything_of_ours() -> None:
    code = "import sys; from hydra.core.plugins import Plugins; Plugins.instance(); "
    code += "print([name for name in sys.modules if name.split('.')[0] == 'vsd' or 'vsd_l' in name])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"
