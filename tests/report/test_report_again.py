"""`vsd report` and `vsd calibrate` work from a finished run's files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.app.conftest import Compose, FakeEngine, clips, configure, fake  # noqa: F401 - fixtures
from vsd.commands import calibrate
from vsd.commands.report import main
from vsd.run import app


@pytest.fixture
def finished(configure: Compose, fake: FakeEngine, clips: Path, tmp_path: Path) -> Path:  # noqa: F811
    cfg = configure("data=folder", f"data.path={clips}", "frames=4", "callbacks=quiet")
    app.run(cfg, tmp_path / "run")
    return tmp_path / "run"


def test_the_numbers_are_made_again(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = json.loads((finished / "metrics.json").read_text())
    (finished / "metrics.json").unlink()
    capsys.readouterr()
    assert main([str(finished)]) == 0
    assert json.loads((finished / "metrics.json").read_text()) == before
    assert "4 of 4 generations are the target's own" in capsys.readouterr().out
    assert main([str(finished), "--full"]) == 0
    assert "accept/length" in capsys.readouterr().out


def test_a_folder_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "FOLDER: must hold a run" in capsys.readouterr().err
    assert calibrate.main([str(tmp_path), "--out", str(tmp_path / "tokens.json")]) == 2


def test_a_run_that_cannot_be_read_keeps_its_numbers(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (finished / "metrics.json").read_text()
    rows = [json.loads(line) for line in (finished / "samples.jsonl").read_text().splitlines()]
    for row in rows:
        del row["scores"]
    (finished / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main([str(finished)]) == 2
    assert "FOLDER: must hold a sample that this version can read" in capsys.readouterr().err
    assert (finished / "metrics.json").read_text() == before


def test_the_tokens_that_were_said_are_kept(finished: Path, tmp_path: Path) -> None:
    assert calibrate.main([str(finished), "--out", str(tmp_path / "tokens.json")]) == 0
    assert json.loads((tmp_path / "tokens.json").read_text()) == [1, 2, 3, 4]
    assert calibrate.frequent(Counter({7: 90, 3: 9, 5: 1}), 0.95) == [3, 7]
    assert calibrate.main([str(finished), "--out", str(tmp_path / "tokens.json"), "--share", "2"]) == 2
