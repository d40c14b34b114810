"""What another version has written is named as such."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.results.made import a_record, write_run
from tests.results.test_runs import config
from vsd.commands import calibrate, runs
from vsd.run.dry_run.seconds import _last_of_its_kind
from vsd.run.report.folder import RunFolder
from vsd.run.results.columns import ROUNDS
from vsd.run.results.run import find_runs, load_run
from vsd.run.schema import SCHEMA


def rewritten(folder: Path, changes: Mapping[str, Any]) -> Path:
    """A run folder with these fields in all that says a schema; None takes one away."""
    write_run(folder, [a_record("v", [5], 5.0)], config())
    file, samples = folder / "provenance.json", folder / "samples.jsonl"
    for each in (file, samples):
        told = json.loads(each.read_text()) | changes
        each.write_text(json.dumps({name: value for name, value in told.items() if value is not None}) + "\n")
    return folder


def test_what_is_written_says_its_schema(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [a_record("v", [5], 5.0)], config())
    assert json.loads((tmp_path / "a" / "samples.jsonl").read_text())["schema"] == SCHEMA == 1


def test_the_page_names_the_fields_of_a_line(tmp_path: Path) -> None:
    """Of the sample and of a decode too; of a round in the table of rounds, and what that has not."""
    write_run(tmp_path / "a", [a_record("v", [5], 5.0)], config())
    line = json.loads((tmp_path / "a" / "samples.jsonl").read_text())
    page = (Path(__file__).resolve().parents[2] / "docs" / "run-folder.md").read_text()
    table = page.split("| field | what it holds |")[1].split("\n\n")[0]
    rows = dict(re.findall(r"^\| (`.+?`) \| (.+) \|$", table, re.M))
    assert {name for fields in rows for name in re.findall(r"`(\w+)`", fields)} == line.keys()
    assert set(re.findall(r"`(\w+)`", rows["`sample`"])) == line["sample"].keys()
    named = set(re.findall(r"`(\w+)`", rows["`trace`"]))
    of_round = {"relaxed", "gaps", "evidence", "_s"}
    assert named - of_round == line["trace"].keys()
    rounds = {each.name for each in ROUNDS} - {"sample", "round", "first"}
    assert line["trace"]["rounds"][0].keys() == rounds | {"gaps", "evidence"}


@pytest.mark.parametrize(
    ("changes", "got"),
    [
        ({"schema": 7, "packages": {"vsd": "9.0"}}, "got 7 (written by vsd 9.0) in"),
        ({"schema": None, "packages": None}, "got none (written by vsd unknown) in"),
    ],
)
def test_another_schema_is_refused(
    changes: dict[str, Any], got: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = rewritten(tmp_path / "a", changes)
    message = f"FOLDER: must be of schema 1, which this version reads, {got} {str(folder)!r}"
    with pytest.raises(ValueError) as error:
        load_run(folder)
    assert str(error.value) == message
    for main, more in ((runs.main, []), (calibrate.main, ["--out", str(tmp_path / "out.json")])):
        assert main([str(folder), *more]) == 2
        assert capsys.readouterr().err == f"error: {message}\n"


def test_among_others_it_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_run(tmp_path / "all" / "now", [a_record("v", [5], 5.0)], config())
    for name in ("old", "older"):
        rewritten(tmp_path / "all" / name, {"schema": None})
    assert [run.folder.name for run in find_runs([tmp_path / "all"])] == ["now"]
    assert [each.message for each in caplog.records] == [
        "2 folders are left out: FOLDER: must be of schema 1, which this version reads, got none (written by vsd "
        f"unknown) in {str(tmp_path / 'all' / 'old')!r}"
    ]


def test_a_run_that_goes_on_reads_its_own_lines_alone(tmp_path: Path) -> None:
    folder = RunFolder(rewritten(tmp_path / "a", {"schema": 7}), "config")
    assert folder.records() == {}
    assert folder.holds_others()
    folder.append(a_record("w", [5], 5.0))
    assert list(folder.records()) == ["w"]


def test_a_dry_run_is_told_no_seconds_by_it(tmp_path: Path) -> None:
    rewritten(tmp_path / "old", {"schema": 7})
    assert _last_of_its_kind(OmegaConf.create({"out": str(tmp_path / "new")})) is None
