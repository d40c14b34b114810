"""`hydra/launcher=local` as a user meets it: a process for each job, with code and config of the submission."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.app.test_command_line import command, run

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


def test_a_job_that_dies_before_python_begins_has_no_earlier_numbers(
    pair: list[str], clips: Path, tmp_path: Path
) -> None:
    words = ["-m", "hydra/launcher=local", *pair, "data=folder", f"data.path={clips}", "limit=1", "out=sweep"]
    assert run(*words, "ratio=0.5,0.9", cwd=tmp_path).returncode == 0
    again = run(*words, "ratio=0.9,0.7", 'hydra.launcher.setup=["exit 1"]', cwd=tmp_path)
    assert again.returncode == 1, again.stdout + again.stderr
    assert "0 of 2 jobs done, 0 running, 0 queued, 2 failed; 0 of 2 samples" in again.stdout
    table = again.stdout[again.stdout.index("Multirun") :]
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines() if line.split()[:1] in (["0"], ["1"])}
    assert rows["0"][0].startswith("0.9")
    assert rows["1"][0].startswith("0.7")
    assert not any("x" in "".join(row) for row in rows.values())  # a speed-up
    assert "ended before Python began (hydra.launcher.setup?)" in " ".join(again.stdout.split())


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_jobs_end_with_their_launcher_and_write_what_they_have(
    sent: signal.Signals, pair: list[str], clips: Path, tmp_path: Path
) -> None:
    words = ["-m", "hydra/launcher=local", *pair, "data=folder", f"data.path={clips}", "out=sweep", "ratio=0.5,0.9"]
    words += ["max_new_tokens=350", 'hydra.launcher.setup=["true"]']
    with (tmp_path / "said").open("w") as said:
        launcher = subprocess.Popen(
            command(*words),
            cwd=tmp_path,
            stdout=said,
            stderr=said,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background ignores it
        )
    samples, told = (tmp_path / "sweep" / "0" / name for name in ("samples.jsonl", "provenance.json"))
    until = time.monotonic() + 120
    while not samples.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert samples.exists(), (tmp_path / "said").read_text()
    os.kill(launcher.pid, sent)
    assert launcher.wait(30) == 128 + sent, (tmp_path / "said").read_text()
    job = json.loads(told.read_text())
    assert (job["outcome"], job["signal"]) == ("interrupted", "SIGTERM")
    assert (tmp_path / "sweep" / "0" / "metrics.json").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(job["pid"], 0)
    assert not (tmp_path / "sweep" / "1" / "samples.jsonl").exists()
