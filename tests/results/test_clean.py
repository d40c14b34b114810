"""`vsd clean` takes what no number comes from, and nothing else."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.results.made import a_record, shown, write_run
from vsd.commands import clean
from vsd.metrics.record import Record
from vsd.run import provenance
from vsd.run.cluster import slurm
from vsd.run.cluster.record import Submitted
from vsd.run.cluster.slurm import Status
from vsd.types import Sample

FAILED = Record(sample=Sample(id="x", video="x.mp4", question="Why?"), failure="no video")
RECORD = a_record("v", [5], 5.0)


def age(folder: Path, seconds: float = 1e9) -> None:
    """Everything was last changed then."""
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (seconds, seconds), follow_symlinks=False)


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Runs of all kinds, years old."""
    folder = tmp_path / "outputs"
    write_run(folder / "good", [RECORD], {})
    write_run(folder / "failed-late", [RECORD, FAILED], {}, outcome="failed", error="out of memory")
    write_run(folder / "stopped", [RECORD], {}, outcome="interrupted")
    write_run(folder / "refused", [], {}, outcome="failed", error="ratio: must be a number in [0, 1), got 2")
    write_run(folder / "all-failed", [FAILED], {}, outcome="failed", error="no sample could be decoded")
    write_run(folder / "day" / "given-up", [], {}, outcome="interrupted")
    other = write_run(folder / "other-version", [], {}, outcome="failed")
    (other / "samples.jsonl").write_text(json.dumps({"id": "a", "trace": {"of": "another version"}}) + "\n")
    (folder / "good" / "metrics.0123456789ab.part").write_text("{")
    (folder / "good" / "film.mp4.part").write_text("somebody's download")
    age(folder)
    return folder


def removed(outputs: Path, *options: str) -> set[str]:
    """What is gone of the folder after the command."""
    before = {path.relative_to(outputs).as_posix() for path in outputs.rglob("*")}
    assert clean.main([str(outputs), "--yes", *options]) == 0
    return before - {path.relative_to(outputs).as_posix() for path in outputs.rglob("*")}


def test_it_lists_and_removes_only_what_holds_no_sample(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(outputs.rglob("*"))
    assert clean.main([str(outputs)]) == 0
    said = shown(capsys.readouterr().out)
    assert "nothing was removed" in said
    assert "4 in all" in said
    assert "ratio: must be" in said
    assert sorted(outputs.rglob("*")) == before

    gone = removed(outputs)
    assert {path for path in gone if "/" not in path} == {"refused", "all-failed"}
    assert {path for path in gone if path.startswith("good")} == {"good/metrics.0123456789ab.part"}
    assert "day/given-up" in gone
    assert not any(path.startswith(("failed-late", "stopped", "other-version")) for path in gone)
    capsys.readouterr()
    assert removed(outputs) == set()
    assert "nothing to remove" in capsys.readouterr().out


def _nested(outputs: Path) -> None:
    write_run(outputs / "refused" / "0", [RECORD], {})


def _own_file(outputs: Path) -> None:
    (outputs / "refused" / "thesis.tex").write_text("years of work")


def _own_folder(outputs: Path) -> None:
    (outputs / "refused" / "notes").mkdir()
    (outputs / "refused" / "notes" / "a.txt").write_text("x")


def _link(outputs: Path) -> None:
    (outputs / "refused" / "videos").symlink_to(outputs.parent)


def _sweep(outputs: Path) -> None:
    (outputs / "multirun.yaml").write_text("{}")


def _study(outputs: Path) -> None:
    (outputs / "study.journal").write_text("{}")


def _other_schema(outputs: Path) -> None:
    provenance.write(outputs / "refused", {"schema": 0})


def _no_provenance(outputs: Path) -> None:
    (outputs / "refused" / "provenance.json").unlink()


def _cut_line(outputs: Path) -> None:
    (outputs / "refused" / "samples.jsonl").write_text('{"id": "a", "tra')


def _at_work(**more: Any) -> Callable[[Path], None]:
    def change(outputs: Path) -> None:
        told = {**provenance.read(outputs / "refused"), "host": platform.node(), "pid": os.getpid()}
        told |= {"time": datetime.now(UTC).isoformat(), **more}
        provenance.write(outputs / "refused", {name: value for name, value in told.items() if name != "outcome"})

    return change


@pytest.mark.parametrize(
    "change",
    [
        _nested,
        _own_file,
        _own_folder,
        _link,
        _sweep,
        _study,
        _other_schema,
        _no_provenance,
        _cut_line,
        _at_work(),
        _at_work(host="elsewhere", pid=1),
    ],
)
def test_what_may_be_of_use_stays(change: Callable[[Path], None], outputs: Path) -> None:
    change(outputs)
    age(outputs)
    assert not any(path.startswith("refused") for path in removed(outputs))


def test_a_job_that_was_killed_is_no_more_at_work(outputs: Path) -> None:
    _at_work(pid=2**30)(outputs)
    age(outputs)
    assert "refused" in removed(outputs)


def test_links_are_not_followed(outputs: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "elsewhere" / "0", [], {}, outcome="failed")
    age(tmp_path / "elsewhere")
    (outputs / "link").symlink_to(tmp_path / "elsewhere")
    (outputs / "loop").symlink_to(outputs)
    assert not any(path.startswith(("link", "loop/")) for path in removed(outputs))
    assert (tmp_path / "elsewhere" / "0" / "provenance.json").exists()


def test_the_folder_that_is_named_stays(outputs: Path) -> None:
    assert clean.main([str(outputs / "refused"), "--yes"]) == 0
    assert (outputs / "refused" / "error.txt").exists()


def test_what_has_just_changed_stays_unless_it_has_ended(outputs: Path) -> None:
    _at_work(pid=2**30)(outputs)
    age(outputs)
    os.utime(outputs / "refused" / "error.txt")
    os.utime(outputs / "all-failed" / "error.txt")
    gone = removed(outputs)
    assert "refused" not in gone
    assert "all-failed" in gone
    assert "refused" in removed(outputs, "--older-than", "0")


def test_a_folder_named_twice_is_listed_once(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clean.main([str(outputs), str(outputs / "day"), "--yes"]) == 0
    assert "4 in all" in shown(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nowhere"], "FOLDER: must be a folder, got 'nowhere'"), (["--older-than", "-1"], "--older-than: must be a num")],
)
def test_refusals(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert clean.main(arguments) == 2
    assert message in capsys.readouterr().err


def a_sweep(
    folder: Path, *, outcome: str | None, digests: tuple[str, ...] = ("old", "new"), began: str = "now"
) -> None:
    """Its first job was submitted with the first code and is done, the second with the second; they `began` at their
    last submission."""
    for number, (digest, ended) in enumerate(zip(digests, ("done", outcome), strict=True)):
        run = write_run(folder / f"{number}", [RECORD], {}, outcome=ended)  # type: ignore[arg-type]
        provenance.write(run, {**provenance.read(run), "submitted": {"time": began}})
        code = folder / ".code" / digest
        (code / "vsd").mkdir(parents=True)
        (code / "vsd" / "clips").symlink_to(run)
        (code / "vsd" / "engine.py").write_text("pass")
        Submitted(
            number=number, time="now", command="", overrides=(), config="", digest=digest, code=f"{code}", commit=None,
            dirty=False, cluster="slurm", job=f"7_{number}",
        ).write(folder)  # fmt: skip
    age(folder)


@pytest.mark.parametrize(
    ("outcome", "status", "gone"),
    [
        ("done", None, {"old", "new"}),
        (None, Status("PENDING"), {"old"}),
        ("interrupted", Status("RUNNING"), {"old"}),
        ("failed", Status("FAILED"), {"old", "new"}),
        (None, None, {"old"}),  # Slurm cannot be asked here
    ],
)
def test_code_that_no_job_will_run_goes(
    outcome: str | None, status: Status | None, gone: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_sweep(tmp_path / "sweep", outcome=outcome)
    monkeypatch.setattr(slurm, "reachable", lambda: status is not None)
    monkeypatch.setattr(slurm, "statuses", lambda jobs: dict.fromkeys(jobs, status))
    assert {name for name in removed(tmp_path) if name.count("/") == 2 and "/.code/" in name} == {
        f"sweep/.code/{name}" for name in gone
    }
    assert (tmp_path / "sweep" / "0" / "samples.jsonl").exists()  # which a link in the copy leads to


def test_code_of_a_job_that_waits_stays_though_an_earlier_one_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_sweep(tmp_path / "sweep", outcome="done", began="before")
    monkeypatch.setattr(slurm, "reachable", lambda: True)
    monkeypatch.setattr(slurm, "statuses", lambda jobs: dict.fromkeys(jobs, Status("PENDING")))
    assert not any("/.code/" in name for name in removed(tmp_path))
