"""What cannot be written, started or logged is one line, before any weight where it can be known; what is finished
stays. Root may write nearly everywhere, so the folders that refuse are those that refuse everybody: under a file, in
/proc, on a full disk (/dev/full)."""

from __future__ import annotations

import errno
import importlib
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobReturn
from hydra.types import RunMode
from omegaconf import OmegaConf

from tests.app.conftest import Compose, FakeEngine
from tests.results.made import a_record, write_run
from vsd.data.base import parse_shard
from vsd.run import app, disk
from vsd.run.baselines import BaselineCache
from vsd.run.callbacks.multirun import Summary
from vsd.run.callbacks.out import OutFolder
from vsd.run.foreign import foreign_place
from vsd.run.report.folder import RunFolder
from vsd.run.results.run import load_run

ROOM_FOR = 2
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def on_clips(configure: Compose, pair: list[str], clips: Path) -> Compose:
    return lambda *dials: configure(*pair, "data=folder", f"data.path={clips}", *dials)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    engine = FakeEngine()
    monkeypatch.setattr(app, "build_engine", lambda *_: engine)
    return engine


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_text("kept")
    return file


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | None]:
    """`app.main` as Hydra calls it; the exit code."""

    def called(cfg: Any, folder: Path, *, multirun: bool = False, params: Any = None) -> int | None:
        hydra = SimpleNamespace(
            runtime=SimpleNamespace(output_dir=str(folder)),
            mode=RunMode.MULTIRUN if multirun else RunMode.RUN,
            overrides=OmegaConf.create({"task": []}),
            sweep=SimpleNamespace(dir=str(folder.parent)),
            sweeper={"params": params},
        )
        monkeypatch.setattr(app, "HydraConfig", SimpleNamespace(get=lambda: hydra))
        monkeypatch.setattr(logging, "raiseExceptions", True)
        try:
            app.main(cfg)
        except SystemExit as end:
            code = end.code
            return code if code is None else int(code)
        return None

    return called


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("{file}", "File exists"),
        ("{file}/run", "Not a directory"),
        ("/proc/nowhere/run", "No such file or directory"),
        ("{tmp}/" + 300 * "x", "File name too long"),
    ],
)
@pytest.mark.parametrize("multirun", [False, True])
def test_a_run_folder_that_cannot_be_made_is_refused_before_hydra_makes_it(
    folder: str, reason: str, multirun: bool, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder.format(file=file, tmp=tmp_path)
    config = OmegaConf.create({"out": folder, "hydra": {"run": {"dir": folder}, "sweep": {"dir": folder}}})
    with pytest.raises(SystemExit, match="2"):
        (OutFolder().on_multirun_start if multirun else OutFolder().on_run_start)(config)
    rule = f"error: out: must be a folder that can be written to, got {folder!r} ({reason})\n"
    assert capsys.readouterr().err == rule
    assert file.read_text() == "kept"


@pytest.mark.parametrize(("mode", "code"), [(RunMode.MULTIRUN, 1), (RunMode.RUN, None)])
def test_a_disk_that_is_full_after_a_job_ends_the_multirun(
    mode: RunMode, code: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before Hydra writes the files of the next one."""
    config = OmegaConf.create({"out": str(tmp_path), "hydra": {"mode": mode, "sweep": {"dir": str(tmp_path)}}})
    OutFolder().on_job_end(config, JobReturn())
    with Path("/dev/full").open("wb") as full:
        monkeypatch.setattr(disk, "TemporaryFile", lambda **_: full)
        with pytest.raises(SystemExit, match="1") if code else nullcontext():
            OutFolder().on_job_end(config, JobReturn())
    assert ("No space left on device" in capsys.readouterr().err) == bool(code)


def test_a_folder_that_hydra_was_given_is_named_by_hydra_s_field(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = OmegaConf.create({"out": "elsewhere", "hydra": {"sweep": {"dir": str(file)}}})
    with pytest.raises(SystemExit, match="2"):
        OutFolder().on_multirun_start(config)
    assert capsys.readouterr().err.startswith("error: hydra.sweep.dir: must be a folder")


def test_a_read_only_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(disk, "TemporaryFile", refuse)
    with pytest.raises(ValueError, match=r"^out: must be a folder that .* \(Read-only file system\)$"):
        disk.check_folder(tmp_path, field="out")


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It still gives files, which take no byte."""
    with Path("/dev/full").open("wb") as full:
        monkeypatch.setattr(disk, "TemporaryFile", lambda **_: full)
        with pytest.raises(ValueError, match=r"^out: must be a folder that .* \(No space left on device\)$"):
            disk.check_folder(tmp_path, field="out")


@pytest.mark.parametrize(
    ("dials", "variables", "message"),
    [
        (
            ["baseline=cache", "baseline_folder={file}"],
            {},
            r"baseline_folder: must be a folder that can be written to, got '.*file' \(File exists\)",
        ),
        (
            ["baseline=cache", "baseline_folder=/proc/none"],
            {},
            r"baseline_folder: must be a folder .* got '/proc/none'",
        ),
        (["baseline=cache", "baseline_folder=null"], {}, r"baseline_folder: must be a folder .* got None$"),
        ([], {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "night"}, r"SLURM_NTASKS: must be 1, .*, got 2$"),
        ([], {"SLURM_NTASKS": "8"}, r"SLURM_NTASKS: must be 1, one process a job .*, got 8$"),
    ],
)
def test_refused_before_any_weight(
    dials: list[str],
    variables: dict[str, str],
    message: str,
    on_clips: Compose,
    fake: FakeEngine,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(app.UsageError, match=message):
        app.run(on_clips(*(dial.format(file=file) for dial in dials)), tmp_path / "run")
    assert fake.calls == 0


@pytest.mark.parametrize(
    "variables",
    [
        {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "submitit"},
        {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "interactive"},
        {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "bash"},
    ],
)
def test_one_task_and_a_shell_of_several_run(
    variables: dict[str, str], on_clips: Compose, fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**variables, "SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}.items():
        monkeypatch.setenv(name, value)
    assert app.run(on_clips("limit=1"), tmp_path / "run")["samples/done"] == 1


@pytest.mark.parametrize("multirun", [False, True])
def test_a_disk_that_fills_up_ends_the_run_with_one_line_and_the_next_goes_on(
    multirun: bool,
    on_clips: Compose,
    fake: FakeEngine,
    main: Callable[..., int | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, append = tmp_path / "sweep" / "0", RunFolder.append

    def fill_up(self: RunFolder, record: Any) -> None:
        if len(self.records()) < ROOM_FOR:
            append(self, record)
            return
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(FULL))
            append(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append", fill_up)
        assert main(on_clips(), folder, multirun=multirun) == 1
    samples = folder / "samples.jsonl"
    assert capsys.readouterr().err == f"error: {samples}: must be written, got No space left on device\n"
    assert (folder / "error.txt").is_file()
    samples.write_bytes(samples.read_bytes()[:-20])  # half of the last line came through
    assert json.loads((folder / "metrics.json").read_text())["samples/done"] == ROOM_FOR + 1  # the third was decoded
    assert main(on_clips(), folder) is None
    lines = samples.read_text().splitlines()
    assert [line.endswith("}") and Path(json.loads(line)["id"]).stem for line in lines] == ["a", "b", False, "c", "d"]
    assert json.loads((folder / "metrics.json").read_text())["samples/done"] == 4
    assert not (folder / "error.txt").exists()


def test_whoever_finds_the_disk_full_is_told_in_one_line(
    on_clips: Compose,
    fake: FakeEngine,
    main: Callable[..., int | None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake.trouble = {3: FULL}  # as a logger's file may raise it
    assert main(on_clips(), tmp_path / "run") == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'run'}: must be written, got No space left on device\n"


def test_a_missing_file_is_no_full_disk(
    on_clips: Compose, fake: FakeEngine, main: Callable[..., int | None], tmp_path: Path
) -> None:
    fake.trouble = {3: FileNotFoundError(errno.ENOENT, "a bug", "somewhere")}
    assert main(on_clips(), tmp_path / "run") == 1
    said = (tmp_path / "run" / "error.txt").read_text()
    assert said.startswith("FileNotFoundError: [Errno 2] a bug")
    assert "must be written" not in said


@pytest.mark.parametrize("name", ["metrics.json", "provenance.json", "config.yaml"])
def test_a_file_that_cannot_be_written_stays_as_it_was(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cfg = RunFolder(tmp_path, "x"), OmegaConf.create({"a": 1})
    folder.open(cfg, {"b": 1})
    folder.write_metrics({"c": 1})
    before = (tmp_path / name).read_bytes()
    write = Path.write_text

    def half(self: Path, text: str, **options: Any) -> None:
        write(self, text[: len(text) // 2], **options)
        if self.name.startswith(name.split(".")[0]):
            raise FULL

    def write_both() -> None:
        folder.open(cfg, {"b": 2})
        folder.write_metrics({"c": 2})

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(disk.CannotWrite, match=rf"{name}: must be written, got No space left on device$"):
        write_both()
    assert (tmp_path / name).read_bytes() == before
    assert not [*tmp_path.glob("*.part")]


def test_a_table_that_cannot_be_written_is_shown_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "0", [a_record("clip", [5], 5.0)], {"ratio": 0.5}, overrides=["ratio=0.5"])
    (tmp_path / "summary.csv").symlink_to("/dev/full")
    hydra = {"sweep": {"dir": str(tmp_path)}, "sweeper": {}, "overrides": {"task": ["ratio=0.5,0.9"]}}
    config, summary = OmegaConf.create({"hydra": hydra, "dry_run": False}), Summary()
    summary.on_multirun_start(config)
    summary._since = 0.0
    with pytest.raises(SystemExit, match="1"):
        summary.on_multirun_end(config)
    out, err = capsys.readouterr()
    assert "2.00x" in out
    assert err == f"error: {tmp_path / 'summary.csv'}: must be written, got No space left on device\n"


def test_a_file_server_whose_clock_is_behind_drops_no_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hydra = {"sweep": {"dir": str(tmp_path)}, "sweeper": {}, "overrides": {"task": ["ratio=0.5"]}}
    config, summary, now = OmegaConf.create({"hydra": hydra, "dry_run": False}), Summary(), time.time
    monkeypatch.setattr(time, "time", lambda: now() + 60)
    summary.on_multirun_start(config)
    write_run(tmp_path / "0", [a_record("clip", [5], 5.0)], {"ratio": 0.5}, overrides=["ratio=0.5"])
    summary.on_multirun_end(config)
    assert "2.00x" in capsys.readouterr().out


@pytest.mark.parametrize("multirun", [False, True])
def test_a_sweep_that_is_run_as_one_is_said(
    multirun: bool,
    main: Callable[..., int | None],
    on_clips: Compose,
    fake: FakeEngine,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    swept = {"without": "nothing,tree", "ratio": "0.5,0.9"}
    assert main(on_clips("limit=1"), tmp_path / "run", multirun=multirun, params=swept) is None
    said = "-m: must be given for this experiment's sweep over without, ratio: this is one run"
    assert [record.getMessage() for record in caplog.records].count(said) == (0 if multirun else 1)


def test_a_run_goes_on_without_a_cache_that_takes_no_more(
    on_clips: Compose,
    fake: FakeEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(app, "_cache", lambda *_: BaselineCache(folder=Path("/proc/none"), setting={}))
    metrics = app.run(on_clips("baseline=cache", f"baseline_folder={tmp_path / 'cache'}"), tmp_path / "run")
    assert (metrics["samples/done"], metrics["speed/decode"]) == (4, 3)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == [
        "baseline_folder: /proc/none takes no more baselines (No such file or directory); this run measures its own"
    ]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/a b/c-d_e.mp4", "/a b/c-d_e.mp4"),
        ("/a:b+c*d?e@f%g$h|i.mp4", "/a:b+c*d?e@f%g$h|i.mp4"),
        ("'/a,b (1)=c.mp4'", "/a,b (1)=c.mp4"),
        ("'/[x]{y}~#!&;<>^`é\"z.mp4'", '/[x]{y}~#!&;<>^`é"z.mp4'),
        (r"'/it\'s.mp4'", "/it's.mp4"),
    ],
)
def test_what_the_readme_says_of_quotes(given: str, path: str, configure: Compose) -> None:
    assert configure("data=folder", f"data.path={given}").data.path == path


@pytest.mark.parametrize("multirun", [False, True])
def test_a_fault_of_somebody_s_own_method_is_one_line_with_its_place(
    multirun: bool,
    on_clips: Compose,
    main: Callable[..., int | None],
    fake: FakeEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "outlier.py").write_text("def keep():\n    return [][7]\n")
    monkeypatch.syspath_prepend(tmp_path)
    outlier = importlib.import_module("outlier")
    monkeypatch.setattr(fake, "run", lambda *_, **__: outlier.keep())
    folder = tmp_path / "run"
    assert main(on_clips(), folder, multirun=multirun) == (None if multirun else 1)
    said = "IndexError: list index out of range (outlier.py:2, in keep)"
    assert capsys.readouterr().err.endswith(f"error: {said}; {folder / 'error.txt'} has the traceback\n")
    first, _, rest = (folder / "error.txt").read_text().partition("\n\n")
    assert first == said
    assert rest.startswith("Traceback")
    assert load_run(folder).error == said


def test_a_fault_of_ours_has_its_traceback() -> None:
    with pytest.raises(ValueError) as caught:
        parse_shard("x")
    trace = caught.value.__traceback__
    assert "test_rim.py" in foreign_place(caught.value)  # this file is somebody's
    while trace is not None and Path(trace.tb_frame.f_code.co_filename).name != "base.py":
        trace = trace.tb_next
    assert foreign_place(caught.value.with_traceback(trace)) == ""
    assert foreign_place(ValueError("never raised")) == ""
