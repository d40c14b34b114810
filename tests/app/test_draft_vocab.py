"""`draft_vocab` from the command line: the draft knows these tokens alone, and the generation is as exact as ever."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from vsd import cli


@pytest.fixture
def run(pair: list[str], clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command with more words, on one clip; the run's folder."""

    def called(name: str, *words: str) -> Path:
        folder = tmp_path / name
        fixed = [*pair, "pruner=uniform", "data=folder", f"data.path={clips}", "limit=1", "logger=none"]
        monkeypatch.setattr(sys, "argv", ["run.py"])
        cli.main(["dtype=float64", *fixed, *words, f"out={folder}"])
        return folder

    return called


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "samples.jsonl").read_text())
    return found


def accepted(folder: Path) -> int:
    return sum(each["accepted"] for each in record(folder)["trace"]["rounds"])


def test_a_draft_of_fewer_tokens_is_as_exact(run: Any, tmp_path: Path) -> None:
    whole = run("whole")
    tokens = record(whole)["trace"]["tokens"]
    assert accepted(whole) > 0
    said, unsaid = tmp_path / "said.json", tmp_path / "unsaid.json"
    said.write_text(json.dumps(sorted(set(tokens))))
    unsaid.write_text(json.dumps(sorted(set(range(200)) - set(tokens))))
    folders = {file: run(file.stem, f"draft_vocab={file}") for file in (said, unsaid)}
    for file, folder in folders.items():
        assert record(folder)["trace"]["tokens"] == record(folder)["baseline"]["tokens"] == tokens
        assert json.loads((folder / "metrics.json").read_text())["exact/mismatched"] == 0
        assert OmegaConf.load(folder / "config.yaml").draft_vocab == str(file)
        assert record(folder)["config"] != record(whole)["config"]  # a run of other samples
    assert accepted(folders[said]) >= accepted(whole)  # every right guess is still there, and likelier
    assert accepted(folders[unsaid]) == 0
    assert sum(each["drafted"] for each in record(folders[unsaid])["trace"]["rounds"]) > 0


def test_tokens_that_no_model_has_are_refused(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps([1, 100_000]))
    with pytest.raises(SystemExit) as ended:
        run("refused", f"draft_vocab={file}")
    assert ended.value.code == 2
    error = "error: draft_vocab: must be token ids below 272, which both models have, got 100000\n"
    assert capsys.readouterr().err == error  # and no weight was loaded
