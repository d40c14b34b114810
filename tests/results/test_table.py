"""Runs as a table: what stands out, and every form."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.results.made import a_record, a_trace, records_of, write_run
from tests.results.test_runs import config
from vsd.commands import report
from vsd.run.results.against import MARKED as OTHER_MARKED
from vsd.run.results.against import against
from vsd.run.results.cells import headline_of
from vsd.run.results.dials import brief
from vsd.run.results.run import find_runs
from vsd.run.results.table import MARKED, Table, rich, table_of, text

NAMES = ["speed/decode", "accept/draft_length", "samples/done"]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two that are equally fast but for noise, and one that is slower."""
    random = np.random.default_rng(0)
    effects = random.normal(0, 0.3, 20)
    for number, speed in enumerate((2.0, 2.0, 1.5)):
        write_run(tmp_path / f"{number}", records_of(random, 20, speed, effects), config(gamma=number + 1))
    return tmp_path


@pytest.fixture
def table(sweep: Path) -> Table:
    return table_of(find_runs([sweep]), NAMES)


def test_the_best_stands_out_and_what_is_not_told_apart_from_it(table: Table) -> None:
    assert table.dials == {"gamma": [1, 2, 3]}
    assert table.best["speed/decode"] == {0, 1}
    assert table.best["samples/done"] == frozenset()


def test_markdown(table: Table) -> None:
    lines = text(table, "markdown").splitlines()
    assert lines[0] == "| gamma | decode | accepted | done |"
    cells = [line.strip("|").split("|") for line in lines[2:5]]
    assert [row[1].strip().startswith("**") for row in cells] == [True, True, False]
    assert "bold: the best" in lines[-1]


def test_latex(table: Table) -> None:
    found = text(table, "latex")
    assert r"\begin{tabular}{rrrr}" in found
    assert [line.count(r"\textbf{") for line in found.splitlines() if line.endswith(r"\\")] == [0, 2, 2, 1]
    assert found.count(r"$\pm$") == 6
    assert found.count(r"\\") == 4


def test_a_dial_is_named_by_its_last_word_where_no_other_ends_with_it() -> None:
    names = ["pruner.weight_global", "ratio", "target.device", "draft.device"]
    assert brief(names) == ["weight_global", "ratio", "target.device", "draft.device"]


def test_csv(table: Table) -> None:
    rows = [*csv.DictReader(io.StringIO(text(table, "csv")))]
    values = table.runs[0].summary
    assert float(rows[0]["speed/decode"]) == values.values["speed/decode"]
    assert float(rows[0]["speed/decode_se"]) == values.errors["speed/decode"]
    assert rows[2]["gamma"] == "3"


def test_the_command(sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert report.main([str(sweep)]) == 0
    said = capsys.readouterr().out
    assert [line.split()[:2] for line in said.splitlines() if "x ±" in line] == [["0", "1"], ["1", "2"], ["2", "3"]]
    assert report.main([str(sweep), "--format", "latex", "--columns", "speed/decode"]) == 0
    assert capsys.readouterr().out.startswith("% bold")
    assert report.main([str(sweep), "--columns", "fast"]) == 2
    assert "--columns: must be metrics" in capsys.readouterr().err


def test_shards_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From out/0, out/1, out/2 as from one folder."""
    records = [a_record(f"v{n}", [5, n % 3], 5.0 + n / 10) for n in range(9)]
    for index in range(3):
        write_run(tmp_path / "parts" / f"{index}", records[index::3], config(shard=f"{index}/3"))
    write_run(tmp_path / "whole", records, config())
    for folder in ("parts", "whole"):
        assert report.main([str(tmp_path / folder), "--format", "csv", "--columns", *NAMES]) == 0
    parts, whole = (row for row in csv.DictReader(io.StringIO(capsys.readouterr().out)) if row["folder"] != "folder")
    numbers = [name for name in parts if name.startswith(("speed", "accept", "samples"))]
    assert {name: parts[name] for name in numbers} == {name: whole[name] for name in numbers}


def test_the_screen_of_shards_names_the_folder_of_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = {"_target_": "vsd.verifiers.greedy.Greedy"}
    for index in range(2):
        write_run(tmp_path / f"{index}", [a_record(f"v{index}", [5], 5.0)], config(shard=f"{index}/2", verifier=rule))
    assert report.main([str(tmp_path)]) == 0
    said = "".join(capsys.readouterr().out.split())
    assert f"files{tmp_path}more" in said


def test_what_was_decoded_on_other_samples_is_not_held_against_it(tmp_path: Path) -> None:
    """Nor is a run with failures, or with generations that are not the target's, among the best of these counts."""
    for number, count in enumerate((20, 6)):
        records = [a_record(f"v{n}", [5], 4.0 + number + n / 100) for n in range(count)]
        write_run(tmp_path / f"{number}", records, config(gamma=number))
    found = table_of(find_runs([tmp_path]), [*NAMES])
    assert found.best == {"speed/decode": frozenset(), "accept/draft_length": frozenset(), "samples/done": frozenset()}


def test_a_job_that_was_refused_brings_no_columns(tmp_path: Path) -> None:
    """Of it there is the config as Hydra composed it, with dials that stand for others."""
    write_run(tmp_path / "0", [a_record("v", [5], 4.0)], {"ratio": 0.5, "pruner": {"ratio": 0.5}, "dtype": "float32"})
    (tmp_path / "1" / ".hydra").mkdir(parents=True)
    (tmp_path / "1" / "error.txt").write_text("ratio: must be below 1")
    composed = "ratio: 2\npruner:\n  ratio: ${ratio}\ndtype: float32\nout: outputs/${now:%Y}\n"
    (tmp_path / "1" / ".hydra" / "config.yaml").write_text(composed)
    (tmp_path / "1" / ".hydra" / "overrides.yaml").write_text("- ratio=2")
    (tmp_path / "1" / ".hydra" / "hydra.yaml").write_text("{damaged")
    assert table_of(find_runs([tmp_path]), NAMES).dials == {"ratio": [0.5, 2]}


def test_few_videos_mark_no_exact_run(tmp_path: Path) -> None:
    for number in range(2):
        write_run(tmp_path / f"{number}", [a_record("v", [5], 4.0)], config(gamma=number))
    first, second = find_runs([tmp_path])
    other = replace(first, records=(replace(first.records[0], text="else", trace=a_trace([4], 4.0)),))
    found = table_of([other, second], ["exact/mismatched"])
    assert [run.summary.values["exact/mismatched"] for run in found.runs] == [1, 0]
    assert found.best == {"exact/mismatched": frozenset()}


def test_a_run_that_failed_brings_no_quality(tmp_path: Path) -> None:
    failed = replace(a_record("w", [5], 4.0), trace=None, baseline=None, failure="no such file")
    write_run(tmp_path / "0", [a_record("v", [5], 4.0)], config())
    write_run(tmp_path / "1", [failed], config(gamma=1))
    assert "quality/retention" not in headline_of(find_runs([tmp_path]))


def test_heads_are_whole_and_the_caption_is_as_wide_as_the_terminal(sweep: Path) -> None:
    runs = find_runs([sweep])
    for run in runs:
        run.config["pruner"]["a_dial_of_a_long_name"] = run.config["gamma"]
        run.config["pruner"]["another_dial_of_a_long_name"] = run.config["gamma"] % 2
    for made in (rich(table_of(runs, NAMES)), against(runs[0], runs[1:])):
        console = Console(width=130, record=True, file=io.StringIO())
        console.print(made)
        said = console.export_text()
        assert " another_dial_of_a_long_name " in said
        assert any(line.strip() in (f"*, {MARKED}", OTHER_MARKED) for line in said.splitlines())
