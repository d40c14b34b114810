"""`vsd upload`: the same run as live, from its files."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.results.made import a_record, records_of, write_run
from tests.tracking.wandb_file import read, sent_by
from vsd.commands import upload
from vsd.metrics.record import Record
from vsd.run import provenance
from vsd.run.results.run import load_run
from vsd.types import Sample

CONFIG = {"ratio": 0.9, "pruner": {"_target_": "a.Hippo", "ratio": 0.9}, "frames": 8, "shard": "0/1"}
CHOICES = {"pruner": "hippo", "target": "tiny_qwen"}
RECORDS = records_of(np.random.default_rng(0), 4, 2.0, np.zeros(4))


def written(folder: Path, records: Any = RECORDS, **how: Any) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return write_run(folder, records, {**CONFIG, **how.pop("config", {})}, choices=CHOICES, **how)


def test_a_run_without_a_logger_is_sent_as_it_would_have_been(tmp_path: Path, capsys: Any) -> None:
    folder = written(tmp_path / "run")
    assert upload.main([str(folder)]) == 0
    sent, run = sent_by(folder), load_run(folder)
    assert sent.run["display_name"] == "hippo 0.9 · tiny_qwen"
    assert [row["sample"] for row in sent.steps] == [1, 2, 3, 4]
    assert {name: sent.summary[name] for name in run.summary.values} == run.summary.values
    assert sent.config["hippo.ratio" if "hippo.ratio" in sent.config else "ratio"] == 0.9
    assert (sent.run["project"], sent.exit_code) == ("vsd", 0)
    said = capsys.readouterr().out
    assert "4 samples" in said
    assert "wandb sync" in said


def test_it_is_the_same_run_when_it_is_sent_again(tmp_path: Path) -> None:
    folder = written(tmp_path / "run")
    assert upload.main([str(folder)]) == 0
    first = sent_by(folder)
    for old in folder.glob("wandb/offline-run-*"):
        old.rename(tmp_path / old.name)
    assert upload.main([str(folder), "--project", "other", "--entity", "us"]) == 0
    again = sent_by(folder)
    assert again.run["run_id"] == first.run["run_id"]
    assert (again.run["project"], again.run["entity"]) == ("other", "us")
    assert [{**row, "_timestamp": 0, "_runtime": 0} for row in again.history if "sample" in row] == [
        {**row, "_timestamp": 0, "_runtime": 0} for row in first.history if "sample" in row
    ]


def test_project_and_name_are_as_the_run_was_configured(tmp_path: Path) -> None:
    logger = {"logger": {"project": "pruning", "entity": "team", "name": "mine", "tags": ["a"]}}
    folder = written(tmp_path / "run", config=logger)
    assert upload.main([str(folder)]) == 0
    sent = sent_by(folder).run
    assert (sent["project"], sent["entity"], sent["display_name"]) == ("pruning", "team", "mine")
    assert sent["tags"][:2] == ["a", "hippo"]


@pytest.mark.parametrize(("outcome", "code"), [("done", 0), ("failed", 1), ("interrupted", 130), (None, 1)])
def test_it_ends_as_the_run_has(outcome: Any, code: int, tmp_path: Path) -> None:
    folder = written(tmp_path / "run", outcome=outcome)
    assert upload.main([str(folder)]) == 0
    sent = sent_by(folder)
    assert sent.exit_code == code
    assert sent.alerts == []  # this is no news


def test_one_that_is_still_at_work_is_left_out(tmp_path: Path, capsys: Any) -> None:
    folder = written(tmp_path / "run", outcome=None)
    told = provenance.read(folder)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    provenance.write(folder, {**told, "host": platform.node(), "pid": os.getpid(), "time": now})
    assert upload.main([str(folder)]) == 0
    assert "still at work" in capsys.readouterr().out
    assert not (folder / "wandb").exists()
    # The number of a killed run's process may be that of another, which has begun later.
    provenance.write(folder, {**told, "host": platform.node(), "pid": os.getpid(), "time": "2026-01-01T00:00:00+00:00"})
    assert upload.main([str(folder)]) == 0
    assert "written, not sent (no login): wandb sync" in " ".join(capsys.readouterr().out.split())


def test_a_sweep_is_sent_job_by_job_in_its_group(tmp_path: Path, capsys: Any) -> None:
    sweep = tmp_path / "day" / "sweep"
    for number, ratio in enumerate((0.5, 0.9)):
        written(sweep / str(number), config={"ratio": ratio})
    (sweep / "multirun.yaml").touch()
    written(sweep / "2", records=[], outcome="failed", error="data.path: must be a folder")
    assert upload.main([str(sweep)]) == 0
    sent = [sent_by(sweep / str(number)).run for number in range(2)]
    assert [each["run_group"] for each in sent] == ["day/sweep"] * 2
    assert len({each["run_id"] for each in sent}) == 2
    assert not (sweep / "2" / "wandb").exists()
    said = " ".join(capsys.readouterr().out.split())
    assert "left out, failed without a sample: data.path: must be a folder" in said


def test_shards_are_one_run(tmp_path: Path, capsys: Any) -> None:
    for number in range(2):
        written(tmp_path / f"shard_{number}", RECORDS[number::2], config={"shard": f"{number}/2"})
    assert upload.main([str(tmp_path / "shard_0"), str(tmp_path / "shard_1")]) == 0
    sent = sent_by(tmp_path / "shard_0")
    assert [row["sample"] for row in sent.steps] == [1, 2, 3, 4]
    assert sent.summary["samples/done"] == 4
    assert not (tmp_path / "shard_1" / "wandb").exists()


def test_samples_that_failed_are_steps_too(tmp_path: Path) -> None:
    failed = Record(sample=Sample(id="bad", video="bad.mp4", question="?"), failure="odd")
    folder = written(tmp_path / "run", [a_record("a", [3], 5.0), failed])
    assert upload.main([str(folder)]) == 0
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    assert [row["sample/failed"] for row in read(file).steps] == [0, 1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "FOLDER: must be a folder, got 'nowhere'"),
        (["."], "FOLDER: must hold a run"),
        ([".", "--project", " "], "--project: must be a text, got ' '"),
        ([".", "--media", "-1"], "--media: must be a whole number, at least 0, got -1"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert upload.main(words) == 2
    assert said in capsys.readouterr().err


def test_it_is_refused_where_w_and_b_is_turned_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert upload.main([str(written(tmp_path / "run"))]) == 2
    assert "WANDB_MODE: must be online or offline" in capsys.readouterr().err


def test_one_that_cannot_be_sent_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from wandb.sdk.wandb_run import Run

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Run, "log", broken)
    assert upload.main([str(written(tmp_path / "run"))]) == 1
    assert "not sent" in capsys.readouterr().out
