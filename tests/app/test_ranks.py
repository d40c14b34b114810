"""One target shared by two processes under torchrun, on the CPU: the same generations, one run folder, clear
refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import ROOT, Compose
from tests.conftest import FAMILIES
from vsd.run import app
from vsd.run.app import UsageError


def torchrun(*arguments: str) -> tuple[int, str, str]:
    """Exit code and output of two processes that see no GPU; both are ended if they wait for each other for ever."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True, **pipes) as process:
        try:
            out, errors = process.communicate(timeout=600)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, out, errors


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torchrun starts rank 0; nobody is waited for."""
    for name, value in {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("vsd.utils.distributed.join", lambda: None)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)


def samples(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    counts = ("accepted", "committed", "nodes")
    return [
        {
            **{"id": row["id"], "tokens": row["trace"]["tokens"], "kept": row["trace"]["kept"]},
            "rounds": [[each[name] for name in counts] for each in row["trace"]["rounds"]],
            "baseline": row["baseline"]["tokens"],
        }
        for row in rows
    ]


def test_models_and_evidence_are_the_same_in_shares(tmp_path: Path) -> None:
    for family, save in FAMILIES.items():
        save(tmp_path / family / "target")
        save(tmp_path / family / "draft", noise=0.01)
    code, out, errors = torchrun("-m", "tests.two_ranks", str(tmp_path))
    assert code == 0, errors
    assert out.count("the same") == 1


def test_one_run_folder_with_the_generations_of_one_process(configure: Compose, tmp_path: Path) -> None:
    quick = ["limit=2", "frames=4", "max_new_tokens=6", "dtype=float64", "callbacks=quiet"]
    together = tmp_path / "together"
    shared = [*quick, "target.tp_plan=auto", "logger=csv", f"out={together}"]
    code, out, errors = torchrun("run.py", "-m", "pruner=specvlm,hippo", *shared)
    assert code == 0, errors
    assert out.count("job 0  pruner=specvlm") == out.count("job 1  pruner=hippo") == out.count("files  ") == 1
    assert {path.name for path in together.iterdir()} == {"0", "1", "summary.csv", "multirun.yaml"}
    for job, pruner in enumerate(("specvlm", "hippo")):
        app.run(configure(*quick, f"pruner={pruner}"), tmp_path / pruner)
        assert samples(together / str(job)) == samples(tmp_path / pruner)
    metrics = json.loads((together / "0" / "metrics.json").read_text())
    assert (metrics["samples/done"], metrics["exact/mismatched"]) == (2, 0)
    assert json.loads((together / "0" / "provenance.json").read_text())["hardware"]["ranks"] == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("", r"target.tp_plan: must be auto under torchrun \(2 processes\), got None"),
        ("target.tp_plan=sharded", r"target.tp_plan: must be null or auto, got 'sharded'"),
        ("target.tp_plan=auto,target.device_map=auto", r"target.device_map: must be null beside a tp_plan, got 'auto'"),
        ("target.tp_plan=auto,target.device=meta", r"target.device: must be 'cpu' under a tp_plan, .* got 'meta'"),
        ("target.tp_plan=auto,parallelism=pearl", r"executor: must be inline or thread under torchrun"),
        ("target.tp_plan=auto,draft=self,drafter=adaptive", r"draft.tp_plan: must be null with a draft on a thread"),
        (
            "target.tp_plan=auto,draft=self,parallelism=pearl,executor=inline,parallelism.length=measured",
            r"draft.tp_plan: must be null with a draft .* of a measured length",
        ),
    ],
)
def test_refused(overrides: str, message: str, configure: Compose, tmp_path: Path, two_processes: None) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        app.run(configure(*[each for each in overrides.split(",") if each]), tmp_path / "run")


def test_a_number_of_processes_that_does_not_divide(
    configure: Compose, tmp_path: Path, two_processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match=r"target.tp_plan: .* must divide num_key_value_heads, 2, got 4"):
        app.run(configure("target.tp_plan=auto"), tmp_path / "run")


def test_a_family_without_a_plan(
    configure: Compose, tmp_path: Path, two_processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Qwen2_5_VLTextConfig

    monkeypatch.setattr(Qwen2_5_VLTextConfig, "base_model_tp_plan", None)
    with pytest.raises(UsageError, match=r"target.tp_plan: transformers must have a plan .* got 'qwen2_5_vl'"):
        app.run(configure("target.tp_plan=auto"), tmp_path / "run")


def test_a_plan_without_torchrun(configure: Compose, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"target.tp_plan: needs at least two processes \(torchrun\), got 'auto'"):
        app.run(configure("target.tp_plan=auto"), tmp_path / "run")
