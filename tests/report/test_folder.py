"""samples.jsonl survives what happens to files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vsd.metrics.record import Record
from vsd.run.report.folder import RunFolder, config_hash
from vsd.types import Round, Sample, Trace


def record(name: str, failure: str = "no such file") -> Record:
    return Record(sample=Sample(id=name, video=f"{name}.mp4", question="Qué?"), failure=failure)


def test_records_are_found_under_their_config_only(tmp_path: Path) -> None:
    RunFolder(tmp_path, "x").append(record("a"))
    RunFolder(tmp_path, "y").append(record("b"))
    assert RunFolder(tmp_path, "x").records() == {"a": record("a")}
    assert RunFolder(tmp_path, "z").records() == {}


def test_what_was_recorded_of_each_token_comes_back(tmp_path: Path) -> None:
    numbers = {"relevance": (0.25, -0.5), "visual_mass": (0.125, 1.0)}
    counts: dict[str, Any] = {"drafted": 2, "nodes": 2, "accepted": 1, "committed": 2, "rejected": True}
    rounds = (Round(**counts, relaxed=(0,), gaps=(0.5,), evidence=numbers), Round(**counts))
    trace = Trace(
        tokens=(1, 2, 3, 4, 5), rounds=rounds, seconds={}, target_forwards=2, visual=1, kept=1, prompt=2, finish="eos"
    )
    folder, done = RunFolder(tmp_path, "x"), replace(record("a", ""), trace=trace)
    folder.append(done)
    assert folder.records() == {"a": done}


def test_the_last_of_equal_ids_wins(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "x")
    folder.append(record("a", "first"))
    folder.append(record("a", "second"))
    assert folder.records()["a"].failure == "second"


def test_a_failure_hides_no_finished_sample_of_the_same_file(tmp_path: Path) -> None:
    trace = Trace(tokens=(1,), rounds=(), seconds={}, target_forwards=0, visual=1, kept=1, prompt=2, finish="eos")
    folder = RunFolder(tmp_path, "x")
    done = replace(record("a", ""), trace=trace, video_stamp="5:7")
    for later, stays in (("", True), ("5:7", True), ("6:8", False)):
        folder.append(done)
        folder.append(replace(record("a"), video_stamp=later))
        assert folder.records()["a"].done == stays


def test_half_a_line_of_a_killed_job_harms_neither_side(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "x")
    folder.append(record("a"))
    with folder.samples_file.open("a") as file:
        file.write('{"id": "b", "config": "x", "sam')
    folder.append(record("c"))
    assert list(folder.records()) == ["a", "c"]


def test_a_separator_inside_a_text_is_no_end_of_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "x")
    folder.append(record("a", "one\u2028two\nthree"))
    assert folder.records()["a"].failure == "one\u2028two\nthree"


def test_where_and_how_far_a_run_goes_is_not_hashed() -> None:
    base = {"ratio": 0.5, "out": "a", "limit": 1, "shard": "0/1", "pruner": {"ratio": "${ratio}"}}
    cfg = OmegaConf.create(base)
    assert config_hash(cfg) == config_hash(OmegaConf.create({**base, "out": "b", "limit": None, "shard": "0/2"}))
    assert config_hash(cfg) != config_hash(OmegaConf.create({**base, "ratio": 0.6}))


def test_metrics_are_written_whole(tmp_path: Path) -> None:
    RunFolder(tmp_path, "x").write_metrics({"accept/length": 2.5})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"accept/length": 2.5}
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
