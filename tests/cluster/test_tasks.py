"""Several tasks of one Slurm job: refused as such, and with torchrun in each the processes of one model."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

QUICK = ["limit=1", "frames=16", "data.frames=null", "max_new_tokens=8", "dtype=float64", "callbacks=quiet"]


def srun(*words: str, environment: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = ["srun", "--partition=urgent", "--ntasks=2", "--cpus-per-task=1", *words]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=280, check=False)


def tokens(folder: Path) -> list[Any]:
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    return [(row["id"], row["trace"]["tokens"], row["baseline"]["tokens"]) for row in rows]


def test_one_program_in_two_tasks_is_refused(checkout: Path, environment: dict[str, str], tmp_path: Path) -> None:
    found = srun(sys.executable, str(checkout / "run.py"), *QUICK, environment=environment, cwd=tmp_path)
    assert found.returncode == 2
    assert "error: SLURM_NTASKS: must be 1, one process a job" in found.stderr
    assert "Traceback" not in found.stderr


def test_torchrun_in_each_task_shares_one_model(checkout: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """As across nodes: a torchrun for each, which meet at an address. The two are on this node here."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        meet = f"127.0.0.1:{free.getsockname()[1]}"
    torchrun = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d"]
    program = [str(checkout / "run.py"), *QUICK, "target.tp_plan=auto", f"out={tmp_path / 'shared'}"]
    where = ["--rdzv-id=vsd", f"--rdzv-endpoint={meet}"]
    found = srun(sys.executable, *torchrun, *where, *program, environment=environment, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    alone = [sys.executable, str(checkout / "run.py"), *QUICK, f"out={tmp_path / 'alone'}"]
    subprocess.run(alone, env=environment, cwd=tmp_path, check=True, capture_output=True)
    assert tokens(tmp_path / "shared") == tokens(tmp_path / "alone")
    told = json.loads((tmp_path / "shared" / "provenance.json").read_text())
    assert told["hardware"]["ranks"] == 2
    assert told["slurm"]["partition"] == "urgent"
