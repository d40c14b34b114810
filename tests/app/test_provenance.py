"""Every job says where it comes from, however it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.app.conftest import Compose, FakeEngine
from vsd.commands import runs
from vsd.run import app, provenance
from vsd.run.results.run import load_run
from vsd.run.schema import SCHEMA


@pytest.fixture
def on_clips(configure: Compose, pair: list[str], clips: Path) -> Compose:
    return lambda *dials: configure(*pair, "data=folder", f"data.path={clips}", "limit=1", *dials)


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "provenance.json").read_text())
    assert {"time", "command", "git", "python", "packages", "ended"} <= set(found)
    assert found["schema"] == SCHEMA
    assert found["packages"]["torch"]
    assert found["hardware"]["cores"]
    return found


def test_a_refused_job(on_clips: Compose, tmp_path: Path) -> None:
    with pytest.raises(app.UsageError):
        app.run(on_clips("ratio=2"), tmp_path / "run")
    found = told(tmp_path / "run")
    assert found["outcome"] == "failed"
    assert "config" not in found
    assert "threads" not in found["hardware"]  # torch's
    assert load_run(tmp_path / "run").state == "failed"


@pytest.mark.parametrize(
    ("trouble", "outcome"),
    [
        (RuntimeError("a bug"), "failed"),
        (torch.OutOfMemoryError("no room"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
@pytest.mark.parametrize("loaded", [False, True])
def test_a_job_that_ends_early(
    trouble: BaseException,
    outcome: str,
    loaded: bool,
    on_clips: Compose,
    fake: FakeEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before its weights are loaded, and while it decodes."""

    def fail(*_: Any, **__: Any) -> None:
        raise trouble

    monkeypatch.setattr(fake if loaded else app, "run" if loaded else "decode", fail)
    if isinstance(trouble, torch.OutOfMemoryError) and loaded:  # of one sample, which is no sample of the run then
        with pytest.raises(app.NothingDone):
            app.run(on_clips(), tmp_path / "run")
    else:
        with pytest.raises(type(trouble)):
            app.run(on_clips(), tmp_path / "run")
    found = told(tmp_path / "run")
    assert (found["outcome"], found["hardware"]["threads"]) == (outcome, torch.get_num_threads())
    assert found["config"]


def test_a_job_that_is_killed_has_said_what_it_was(tmp_path: Path) -> None:
    with provenance.job(tmp_path):
        run = load_run(tmp_path)
        assert (run.state, run.provenance["command"]) == ("unfinished", provenance.provenance()["command"])
    assert load_run(tmp_path).state == "done"


def test_a_refused_job_hides_no_finished_sample(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    app.run(on_clips(), tmp_path / "run")
    with pytest.raises(app.UsageError):
        app.run(on_clips("gamma=0"), tmp_path / "run")
    assert [record.sample.id for record in load_run(tmp_path / "run").records] == ["a.mp4"]
    (earlier,) = told(tmp_path / "run")["earlier"]
    assert earlier["outcome"] == "done"


def test_a_job_forgets_what_the_last_one_failed_with(tmp_path: Path) -> None:
    (tmp_path / "error.txt").write_text("no room")
    with provenance.job(tmp_path):
        assert not (tmp_path / "error.txt").exists()


def test_runs_says_when_a_failed_one_was(
    on_clips: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(provenance, "_now", lambda: "2026-01-02T03:04:05+00:00")
    with pytest.raises(app.UsageError):
        app.run(on_clips("ratio=2"), tmp_path / "run")
    assert runs.main([str(tmp_path)]) == 0
    assert any("01-02 03:04" in line and "failed" in line for line in capsys.readouterr().out.splitlines())


def test_nothing_heavy_is_imported_for_it(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from vsd.run import provenance
with provenance.job(Path({str(tmp_path)!r})):
    print([name for name in ("torch", "numpy", "transformers", "pandas", "omegaconf") if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    assert told(tmp_path)["outcome"] == "done"


def test_shards_in_one_folder_end_each_for_itself(tmp_path: Path) -> None:
    """Whichever began last, the run is done when all are."""
    with provenance.job(tmp_path, "0/2"):
        with provenance.job(tmp_path, "1/2"):
            pass
        assert load_run(tmp_path).state == "unfinished"
    assert load_run(tmp_path).state == "done"
    with pytest.raises(RuntimeError), provenance.job(tmp_path, "0/2"), provenance.job(tmp_path, "1/2"):
        raise RuntimeError
    assert load_run(tmp_path).state == "failed"
    with provenance.job(tmp_path, "0/2"):
        pass
    assert load_run(tmp_path).state == "failed"  # its other half still is
    with provenance.job(tmp_path):
        assert load_run(tmp_path).state == "unfinished"  # all samples, by one job
    assert load_run(tmp_path).state == "done"
    jobs = provenance.jobs_of(provenance.read(tmp_path))
    assert [each["shard"] for each in jobs] == ["0/1", "0/2", "1/2", "0/2", "1/2", "0/2"]
    assert len({each["job"] for each in jobs}) == 6


def test_what_another_job_has_overwritten_is_written_again(tmp_path: Path) -> None:
    with provenance.job(tmp_path, "0/2") as ours:
        lost = provenance.read(tmp_path)
        with provenance.job(tmp_path, "1/2") as theirs:
            provenance.write(tmp_path, {**provenance.read(tmp_path), "earlier": []})  # both began at once
        assert lost["job"] == ours["job"]
    assert {each["job"] for each in provenance.jobs_of(provenance.read(tmp_path))} == {ours["job"], theirs["job"]}
    assert load_run(tmp_path).state == "done"
