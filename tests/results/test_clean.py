"""`vsd clean` takes what no number comes from, and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.results.made import a_record, shown, write_run
from vsd.commands import clean
from vsd.metrics.record import Record
from vsd.types import Sample

FAILED = Record(sample=Sample(id="x", video="x.mp4", question="Why?"), failure="no video")


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Runs of all kinds, two days old."""
    folder = tmp_path / "outputs"
    record = a_record("v", [5], 5.0)
    write_run(folder / "good", [record], {})
    write_run(folder / "failed-late", [record, FAILED], {}, outcome=None, error="out of memory")
    write_run(folder / "stopped", [record], {}, outcome="interrupted")
    write_run(folder / "refused", [], {}, outcome=None, error="ratio: must be a number in [0, 1), got 2")
    write_run(folder / "all-failed", [FAILED], {}, outcome=None, error="no sample could be decoded")
    write_run(folder / "sweep" / "0", [], {}, outcome=None)
    other = write_run(folder / "other-version", [], {}, outcome=None)
    (other / "samples.jsonl").write_text(json.dumps({"id": "a", "trace": {"of": "another version"}}) + "\n")
    (folder / "good" / "metrics.abc.part").write_text("{")
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (1e9, 1e9))
    return folder


def test_it_lists_and_removes_only_what_holds_no_sample(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(outputs.rglob("*"))
    assert clean.main([str(outputs)]) == 0
    said = shown(capsys.readouterr().out)
    assert "nothing was removed" in said
    assert "4 in all" in said
    assert "ratio: must be" in said
    assert sorted(outputs.rglob("*")) == before

    assert clean.main([str(outputs), "--yes"]) == 0
    kept = sorted(path.name for path in outputs.iterdir())
    assert kept == ["failed-late", "good", "other-version", "stopped", "sweep"]
    assert not (outputs / "sweep" / "0").exists()
    assert sorted(path.name for path in (outputs / "good").iterdir()) == [
        ".hydra",
        "config.yaml",
        "provenance.json",
        "samples.jsonl",
    ]
    capsys.readouterr()
    assert clean.main([str(outputs), "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_what_may_be_at_work_stays(outputs: Path) -> None:
    os.utime(outputs / "refused" / "error.txt")
    assert clean.main([str(outputs), "--yes"]) == 0
    assert (outputs / "refused").exists()
    assert not (outputs / "all-failed").exists()
    assert clean.main([str(outputs), "--yes", "--older-than", "0"]) == 0
    assert not (outputs / "refused").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nowhere"], "FOLDER: must be a folder, got 'nowhere'"), (["--older-than", "-1"], "--older-than: must be a num")],
)
def test_refusals(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert clean.main(arguments) == 2
    assert message in capsys.readouterr().err
