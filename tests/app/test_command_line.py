"""`python run.py` as a user meets it: exit codes, one line for a mistake, a multirun with its table, Ctrl-C."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.app.conftest import ROOT
from tests.video.clips import write_video


def command(*overrides: str) -> list[str]:
    return [sys.executable, str(ROOT / "run.py"), *overrides]


def run(*overrides: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "120", **variables}
    return subprocess.run(
        command(*overrides), capture_output=True, text=True, cwd=cwd, env=environment, timeout=300, check=False
    )


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    result = run("ratio=1.5", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.strip() == "error: ratio: must be a number in [0, 1), got 1.5"
    assert result.stdout == ""


def test_a_folder_that_cannot_be_made_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    """Hydra would make it, and fail, before anything of ours runs."""
    (tmp_path / "file").touch()
    result = run("-m", "ratio=0.5,0.9", "out=file/run", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr == ("error: out: must be a folder that can be written to, got 'file/run' (Not a directory)\n")
    assert result.stdout == ""


def test_a_bad_checkpoint_is_one_line_and_exit_code_2(
    checkpoints: dict[str, Path], clips: Path, tmp_path: Path
) -> None:
    """The draft's, which is looked at last; `test_check.py` has more that is refused before weights."""
    bad = tmp_path / "bad"
    shutil.copytree(checkpoints["draft"], bad)
    held = load_file(bad / "model.safetensors")
    held.pop("lm_head.weight")
    save_file(held, bad / "model.safetensors", metadata={"format": "pt"})
    paths = {**checkpoints, "draft": bad}
    given = [f"{name}.path={paths[name]}" for name in ("target", "draft")]
    result = run(*given, "data=folder", f"data.path={clips}", "out=run", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.strip() == (
        f"error: draft.path: the weights of a checkpoint must be those of its model, "
        f"got 1 missing (lm_head.weight) in '{bad}'"
    )
    assert not (tmp_path / "run" / "samples.jsonl").exists()


def test_a_hub_name_without_a_network_is_one_line_within_seconds(tmp_path: Path) -> None:
    closed = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "cache")}
    result = run("target=qwen2_5_vl_3b", cwd=tmp_path, **closed)
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith(
        "error: target.path: 'Qwen/Qwen2.5-VL-3B-Instruct' must be a checkpoint folder or a hub name"
    )
    assert "connect to the hub, set HF_HOME to a cache that holds it, or give a local folder" in line


def test_an_unknown_option_shows_the_list(tmp_path: Path) -> None:
    result = run("pruner=magic", cwd=tmp_path)
    assert result.returncode != 0
    assert result.stderr.startswith("error: pruner: must be one of attention, frame, hippo, ")
    assert "uniform" in result.stderr
    assert "Traceback" not in result.stderr


def test_multirun_one_table_and_a_failing_job_stops_no_other(pair: list[str], clips: Path, tmp_path: Path) -> None:
    swept = ["pruner=none,uniform", "ratio=0.5,2"]
    result = run("-m", *pair, *swept, "data=folder", f"data.path={clips}", "limit=1", "out=sweep", cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout.count("Multirun") == 1
    assert [f"job {number}" in result.stdout for number in range(4)] == [True] * 4
    assert len(result.stdout.splitlines()) < 60
    assert "ratio=0.5 has no effect" in result.stdout  # under pruner=none: a warning, since sweeps cross dials
    with (tmp_path / "sweep" / "summary.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [Path(row["folder"]).name for row in rows] == ["0", "1", "2", "3"]
    assert [row["ratio"] for row in rows] == ["0.5", "2", "0.5", "2"]
    assert ["got 2" in row["error"] for row in rows] == [False, True, False, True]
    assert [row["frames"] for row in rows] == ["4"] * 4
    for number, outcome in enumerate(("done", "failed", "done", "failed")):
        found = json.loads((tmp_path / "sweep" / str(number) / "provenance.json").read_text())
        assert (found["outcome"], found["earlier"]) == (outcome, [])
    assert [row["exact/mismatched"] and float(row["exact/mismatched"]) for row in rows] == [0, "", 0, ""]


def is_left(group: int) -> bool:
    """Whether a process of this group lives; one that has ended and that nobody has asked for its code does not."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            state, _, its_group = file.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                return True
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent differently there")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_keep_what_is_finished_and_say_how_to_go_on(
    sent: signal.Signals, code: int, pair: list[str], tmp_path: Path
) -> None:
    """With a draft and a reader in processes of their own, which get it too."""
    clips = tmp_path / "clips"
    clips.mkdir()
    for index in range(400):
        (clips / f"{index:03}.mp4").symlink_to(tmp_path / "clip.mp4")
    write_video(tmp_path / "clip.mp4", frames=6)
    arguments = [
        *pair,
        "parallelism=pearl",
        "executor=process",
        "max_new_tokens=64",
        "data=folder",
        f"data.path={clips}",
        "out=run",
    ]
    log = (tmp_path / "log.txt").open("w+")
    # A shell starts background jobs with Ctrl-C ignored, and children inherit that from the tests.
    process = subprocess.Popen(
        command(*arguments),
        cwd=tmp_path,
        stdout=log,
        stderr=log,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        start_new_session=True,
    )
    samples = tmp_path / "run" / "samples.jsonl"
    deadline = time.monotonic() + 120
    while not (samples.exists() and samples.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, sent)  # as a terminal and Slurm do it: to all processes of the run
    ended = process.wait(timeout=60)
    deadline = time.monotonic() + 30  # Python's own helper of worker processes ends a moment after the run
    while is_left(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_left(process.pid)
    log.seek(0)
    said = log.read()
    log.close()
    assert ended == code, said
    assert "out=" in said
    assert "Traceback" not in said
    assert 0 < len(samples.read_text().splitlines()) < 400
    assert (tmp_path / "run" / "metrics.json").exists()
    assert not [row for row in map(json.loads, samples.read_text().splitlines()) if row["failure"]]
    told = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert (told["outcome"], told.get("signal")) == ("interrupted", "SIGTERM" if code == 143 else None)
