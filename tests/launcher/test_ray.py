"""`hydra/launcher=ray`: jobs at once in processes of their own, shards of one run, and one line for what cannot run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from tests.app.conftest import ROOT
from vsd.run.callbacks import ray_cluster
from vsd.run.callbacks.ray_cluster import RayCluster, is_ray, refusal
from vsd.run.results.pool import pooled
from vsd.run.results.run import find_runs

HERE = bool(find_spec("hydra_plugins") and find_spec("hydra_plugins.hydra_ray_launcher"))
needs_ray = pytest.mark.skipif(not HERE, reason="comes with vsd[ray]")
SHORT = ("frames=4", "max_new_tokens=8", "callbacks=quiet", "hydra.launcher.ray.init.num_cpus=2")
SHARE = {"num_cpus": 1, "num_gpus": 0}


def vsd(*overrides: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "150", "WANDB_MODE": "offline"}
    command = [sys.executable, str(ROOT / "run.py"), "-m", "hydra/launcher=ray", *SHORT, *overrides]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=400, check=False)


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=True)


@needs_ray
def test_four_jobs_in_processes_of_their_own(tmp_path: Path) -> None:
    result = vsd("pruner=random,uniform", "ratio=0.5,0.9", "limit=1", "logger=wandb", "out=sweep", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    runs = find_runs([tmp_path / "sweep"])
    assert [(run.choices["pruner"], run.config["ratio"], run.state) for run in runs] == [
        (pruner, ratio, "done") for pruner in ("random", "uniform") for ratio in (0.5, 0.9)
    ]
    assert len({run.provenance["pid"] for run in runs}) == 4
    assert all(len(run.records) == 1 for run in runs)
    assert len(list((tmp_path / "sweep").glob("*/wandb/offline-run-*"))) == 4
    assert "Multirun" in result.stdout
    assert "summary.csv" in result.stdout
    for noise in ("dashboard", "usage", "INFO", "FutureWarning", "raylet", "Initializing ray", "Traceback"):
        assert noise not in result.stdout + result.stderr


@needs_ray
def test_shards_of_one_run_with_a_draft_in_a_process_of_its_own(tmp_path: Path) -> None:
    given = ("experiment=hippo", "limit=4")
    result = vsd(*given, "shard=0/2,1/2", "out=sweep", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    shards = find_runs([tmp_path / "sweep"])
    (whole,) = pooled(shards)
    assert len({run.provenance["pid"] for run in shards}) == len(shards)
    assert len({record.sample.id for record in whole.records}) == len(whole.records) == 4
    assert whole.summary.values["exact/mismatched"] == 0


@needs_ray
def test_a_job_that_fails_leaves_its_error_and_the_others_go_on(tmp_path: Path) -> None:
    result = vsd("ratio=0.5,2", "limit=1", "out=sweep", cwd=tmp_path)
    assert result.returncode == 1
    assert json.loads((tmp_path / "sweep" / "0" / "metrics.json").read_text())["samples/done"] == 1
    assert "ratio: must be" in (tmp_path / "sweep" / "1" / "error.txt").read_text()
    assert "Traceback" not in result.stdout + result.stderr


def test_only_jobs_on_ray_start_it() -> None:
    assert not is_ray(config())
    assert is_ray(config("hydra/launcher=ray"))
    RayCluster().on_multirun_start(config())
    RayCluster().on_multirun_end(config())


def test_gpus_of_a_job_are_a_field() -> None:
    remote = config("hydra/launcher=ray", "hydra.launcher.ray.remote.num_gpus=0.5").hydra.launcher.ray.remote
    assert (remote.num_gpus, remote.num_cpus, remote.max_calls) == (0.5, 1, 1)


@pytest.mark.parametrize(
    ("share", "device", "said"),
    [
        (SHARE, "cpu", ""),
        ({**SHARE, "num_gpus": 0.5}, "cuda", ""),
        (SHARE, "cuda", "hydra.launcher.ray.remote.num_gpus: must be above 0 where device=cuda (1: a GPU for each job, "
         "0.5: one for two), got 0"),
        ({**SHARE, "num_cpus": "many"}, "cpu",
         "hydra.launcher.ray.remote.num_cpus: must be a number, at least 0, got 'many'"),
        ({"num_cpus": 1}, "cpu", "hydra.launcher.ray.remote.num_gpus: must be a number, at least 0, got None"),
    ],
)  # fmt: skip
def test_what_cannot_run(share: dict[str, Any], device: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: name)
    assert refusal(share, device=device) == said


def test_without_the_extra_it_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="2"):
        RayCluster().on_multirun_start(config("hydra/launcher=ray"))
    assert (
        capsys.readouterr().err == 'error: hydra/launcher=ray: must be installed (pip install ".[ray]"), got nothing\n'
    )


@needs_ray
def test_where_nobody_listens_it_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SystemExit, match="2"):
        RayCluster().on_multirun_start(
            config("hydra/launcher=ray", f"hydra.launcher.ray.init.address='127.0.0.1:{port}'")
        )
    assert capsys.readouterr().err.startswith("error: hydra.launcher.ray.init: Ray must start or be joined, got ")
