"""`hydra/launcher=local` as a user meets it: a process for each job, with code and config of the submission."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.app.test_command_line import run

pytest.importorskip("submitit", reason="comes with the extra slurm")


def test_shards_in_processes_of_their_own_and_the_command_again(pair: list[str], clips: Path, tmp_path: Path) -> None:
    words = ["-m", "hydra/launcher=local", *pair, "shard=0/2,1/2", "data=folder", f"data.path={clips}", "out=sweep"]
    first = run(*words, cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2 jobs are submitted. They run the code of now" in first.stdout
    assert "2 of 2 jobs done, 0 running, 0 queued, 0 failed; 4 of 4 samples" in first.stdout
    rows = [line.split() for line in first.stdout.splitlines() if line.split()[:2] == ["0", "4"]]
    assert len(rows) == 1  # the shards of one run, all four samples
    for number, ids in enumerate((["a.mp4", "c.mp4"], ["b.mp4", "d.mp4"])):
        folder = tmp_path / "sweep" / f"{number}"
        assert [json.loads(line)["id"] for line in (folder / "samples.jsonl").read_text().splitlines()] == ids
        told = json.loads((folder / "provenance.json").read_text())
        assert told["command"].endswith(f"-m hydra/launcher=local {' '.join(pair)} shard=0/2,1/2 data=folder "
                                        f"data.path={clips} out=sweep")  # fmt: skip
        assert (tmp_path / "sweep" / ".code" / told["submitted"]["code"] / "vsd" / "engine.py").is_file()
    again = run(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "0 jobs are submitted; 2 are finished" in again.stdout
    assert "4 of 4 samples" in again.stdout
