"""A run that is logged offline, read back from the file that W&B would send."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from tests.app.conftest import Compose, FakeEngine
from tests.tracking.wandb_file import read, sent_by
from vsd.run import app
from vsd.run.app import UsageError
from vsd.run.results.run import load_run
from vsd.run.tracking import names
from vsd.types import SampleError
from vsd.utils.termination import Terminated


@pytest.fixture
def on_clips(configure: Compose, pair: list[str], clips: Path) -> Compose:
    def composed(*overrides: str) -> Any:
        return configure(*pair, "data=folder", f"data.path={clips}", "logger=wandb", *overrides)

    return composed


def run(cfg: Any, folder: Path, *overrides: str) -> dict[str, float]:
    cfg.out = cfg.logger.folder = str(folder)
    return app.run(cfg, folder, overrides=overrides)


def table(folder: Path, name: str) -> dict[str, Any]:
    (file,) = folder.glob(f"wandb/offline-run-*/files/media/table/{name}_*.table.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_the_final_numbers_are_those_of_metrics_json(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    run(on_clips("ratio=0.8"), tmp_path / "run")
    sent = sent_by(tmp_path / "run")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    wanted = {name: value for name, value in metrics.items() if not name.endswith(("_low", "_high"))}
    assert {name: sent.summary[name] for name in wanted} == wanted
    assert any(name.endswith("_se") for name in wanted)
    assert sent.exit_code == 0
    assert sent.alerts == []


def test_each_sample_is_a_step(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    fake.trouble = {4: SampleError("an odd frame")}
    run(on_clips(), tmp_path / "run")
    sent = sent_by(tmp_path / "run")
    assert [row["sample"] for row in sent.steps] == [1, 2, 3, 4]
    assert [row["_step"] for row in sent.steps] == [1, 2, 3, 4]
    assert sum(row["sample/failed"] for row in sent.steps) == sent.summary["samples/failed"] == 1
    assert sent.steps[0]["sample/kept_share"] == 0.5
    assert sent.steps[0]["speed/decode"] == sent.steps[0]["sample/speed/decode"] == 3.0
    assert sent.steps[-1]["speed/decode"] == sent.summary["speed/decode"]
    charted = {name for row in sent.history for name in row}
    assert not [name for name in charted if name.endswith(("_se", "_low", "_high"))]
    assert not [name for name in charted if name.startswith(("time/", "accept/position"))]
    assert sent.metrics["*"].step_metric == "sample"
    assert sent.metrics["sample/failed"].summary.none
    assert sent.metrics["speed/decode"].step_metric == "sample"


def test_what_it_is_called_and_found_by(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    run(on_clips("logger.tags=[mine]", "pruner=hippo"), tmp_path / "run", "pruner=hippo", "ratio=0.9")
    sent = sent_by(tmp_path / "run")
    told = load_run(tmp_path / "run")
    assert sent.run["run_id"] == told.provenance["job"]
    assert sent.run["display_name"] == "Hippo 0.9"  # Hydra's choices are known where Hydra has started the job
    assert sent.run["project"] == "vsd"
    assert sent.run["tags"] == ["mine", "Hippo", "Chain", "Greedy", "Sequential", "Inline"]
    assert sent.config["ratio"] == 0.9
    assert sent.config["Hippo.weight_global"] == 1.0
    assert "Hippo.ratio" not in sent.config
    assert not [name for name in sent.config if "_target_" in name or name.startswith(("hydra", "logger"))]


def test_tables_and_pictures(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    run(on_clips("logger.media=2"), tmp_path / "run")
    samples = table(tmp_path / "run", "samples")
    assert len(samples["data"]) == 4
    columns = samples["columns"]
    first = dict(zip(columns, samples["data"][0], strict=True))
    assert (first["text"], first["kept share"], first["speed/decode"]) == ("1 2 3 4", 0.5, 3.0)
    assert first["look at"]
    assert sum(1 for row in samples["data"] if row[columns.index("clip")]) <= 2
    assert table(tmp_path / "run", "rounds")["data"][0][1:5] == [1, "■■", 2, 2]
    assert table(tmp_path / "run", "accepted_per_round_table")["data"] == [["2", 4]]
    assert table(tmp_path / "run", "accepted_by_position_table")["data"] == [[1, 1], [2, 1]]
    steps = {row[0]: row[1] for row in table(tmp_path / "run", "time_table")["data"]}
    assert steps["draft"] == pytest.approx(0.2)
    assert steps["target alone: decode"] == 3.0
    numbers = {row[0]: row[1:] for row in table(tmp_path / "run", "numbers")["data"]}
    assert numbers["speed/decode"][4] == "higher"
    shown = sent_by(tmp_path / "run").config
    assert (shown["shown.samples"], shown["shown.rows"], shown["shown.media"]) == (4, 4, 2)


def test_an_interrupted_run_goes_on_with_the_samples_of_before(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path
) -> None:
    fake.trouble = {3: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(on_clips(), tmp_path / "run")
    before = sent_by(tmp_path / "run")
    assert before.exit_code == 130
    assert before.alerts == []
    assert [row["sample"] for row in before.steps] == [1]
    assert before.summary["samples/done"] == 1
    (old,) = (tmp_path / "run").glob("wandb/offline-run-*/*.wandb")
    fake.trouble = {}
    run(on_clips(), tmp_path / "run")
    (new,) = set((tmp_path / "run").glob("wandb/offline-run-*/*.wandb")) - {old}
    after = read(new)
    assert after.run["run_id"] == before.run["run_id"]
    assert [row["sample"] for row in after.steps] == [1, 2, 3, 4]
    assert after.exit_code == 0


def test_a_failed_run_is_one_there_too(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    fake.trouble = {3: RuntimeError("the device is lost")}
    with pytest.raises(RuntimeError, match="device is lost"):
        run(on_clips(), tmp_path / "run")
    sent = sent_by(tmp_path / "run")
    assert sent.exit_code == 1
    assert sent.alerts == [("run failed", "the device is lost")]


def test_a_run_that_fails_before_its_first_sample_is_there(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no room for the weights")

    monkeypatch.setattr(app, "build_engine", broken)
    with pytest.raises(RuntimeError, match="no room"):
        run(on_clips(), tmp_path / "run")
    sent = sent_by(tmp_path / "run")
    assert sent.exit_code == 1
    assert sent.alerts == [("run failed", "no room for the weights")]


def test_a_run_without_a_decoded_sample_has_failed(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    fake.trouble = dict.fromkeys(range(1, 99), SampleError("an odd frame"))
    with pytest.raises(app.NothingDone):
        run(on_clips(), tmp_path / "run")
    sent = sent_by(tmp_path / "run")
    assert sent.exit_code == 1
    assert "no sample could be decoded" in sent.alerts[0][1]
    assert [row["sample/failed"] for row in sent.steps] == [1, 1, 1, 1]


def test_a_refused_run_is_not_there_at_all(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="gamma"):
        run(on_clips("gamma=0"), tmp_path / "run")
    assert not (tmp_path / "run" / "wandb").exists()

    def refused(*_: object) -> None:
        raise UsageError("draft: must share the target's vocabulary")

    monkeypatch.setattr(app, "build_engine", refused)
    with pytest.raises(UsageError, match="vocabulary"):
        run(on_clips(), tmp_path / "other")
    assert not (tmp_path / "other" / "wandb").exists()


@pytest.mark.parametrize(
    ("field", "said"),
    [("project=''", "logger.project"), ("media=-1", "logger.media"), ("entity=3", "logger.entity"), ("tags=a", "tags")],
)
def test_a_wrong_field_is_refused(on_clips: Compose, fake: FakeEngine, tmp_path: Path, field: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run(on_clips(f"logger.{field}"), tmp_path / "run")


def test_local_files_are_written_before_anything_is_logged(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vsd.run.tracking.tracker import Tracker

    folder, seen, ended = tmp_path / "run", list[int](), list[bool]()
    add, end = Tracker.add, Tracker.end

    def adding(tracker: Tracker, record: Any) -> None:
        seen.append(len((folder / "samples.jsonl").read_text().splitlines()))
        add(tracker, record)

    def ending(tracker: Tracker, *args: Any, **options: Any) -> None:
        ended.append((folder / "metrics.json").is_file())
        end(tracker, *args, **options)

    monkeypatch.setattr(Tracker, "add", adding)
    monkeypatch.setattr(Tracker, "end", ending)
    run(on_clips(), folder)
    assert seen == [1, 2, 3, 4]
    assert ended == [True]


def test_what_breaks_in_wandb_is_said_once_and_the_run_goes_on(
    on_clips: Compose,
    fake: FakeEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from wandb.sdk.wandb_run import Run

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Run, "log", full)
    assert run(on_clips(), tmp_path / "run")["samples/done"] == 4
    said = [each.getMessage() for each in caplog.records if "W&B" in each.getMessage()]
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert f"vsd upload {tmp_path / 'run'}" in said[0]


def test_nothing_of_it_is_on_the_screen_or_outside_of_the_folder(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    run(on_clips("report=short"), tmp_path / "run")
    shown = capfd.readouterr()
    assert "wandb:" not in shown.out + shown.err
    assert f"vsd upload {tmp_path / 'run'}" in "".join(shown.out.split("\n"))
    assert not list((tmp_path / "home").rglob("*wandb*"))


def test_w_and_b_that_is_turned_off_writes_nothing(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert run(on_clips(), tmp_path / "run")["samples/done"] == 4
    assert not [path for path in tmp_path.rglob("*") if path.name == "wandb"]
    assert "W&B" not in capsys.readouterr().out


def test_a_run_that_is_whole_already_is_logged_from_its_files(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path
) -> None:
    cfg = on_clips("logger=none")
    cfg.out = str(tmp_path / "run")
    app.run(cfg, tmp_path / "run")
    calls = fake.calls
    run(on_clips(), tmp_path / "run")
    assert fake.calls == calls
    assert len(sent_by(tmp_path / "run").steps) == 4


def test_the_agent_of_a_sweep_names_the_run_and_it_keeps_the_name(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    monkeypatch.setenv("WANDB_RUN_ID", "by-agent")
    run(on_clips(), tmp_path / "run")
    assert sent_by(tmp_path / "run").run["run_id"] == "by-agent"
    assert load_run(tmp_path / "run").provenance["wandb"] == "by-agent"
    assert names.run_id(load_run(tmp_path / "run")) == "by-agent"


def test_other_loggers_get_the_numbers_as_they_are(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    cfg = on_clips("logger=csv")
    cfg.out = str(tmp_path / "run")
    metrics = app.run(cfg, tmp_path / "run")
    lines = (tmp_path / "run" / "csv" / "metrics.csv").read_text().splitlines()
    logged = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
    assert {name: float(logged[name]) for name in metrics} == metrics


def test_a_resumed_run_that_fails_before_a_new_sample_keeps_those_of_before(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    run(on_clips("limit=2"), folder)
    shutil.rmtree(folder / "wandb")
    monkeypatch.setattr(app, "build_engine", Mock(side_effect=RuntimeError("no room for the weights")))
    with pytest.raises(RuntimeError, match="no room"):
        run(on_clips(), folder)
    sent = sent_by(folder)
    assert [row["sample"] for row in sent.steps] == [1, 2]
    assert sent.summary["samples/done"] == 2
    assert sent.exit_code == 1
    assert sent.alerts == [("run failed", "no room for the weights")]


def test_a_run_that_is_asked_to_end_sends_its_numbers_and_waits_for_no_picture(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path
) -> None:
    fake.trouble = {4: Terminated(signal.SIGTERM)}
    with pytest.raises(KeyboardInterrupt):
        run(on_clips(), tmp_path / "run")
    sent = sent_by(tmp_path / "run")
    assert sent.summary["samples/done"] == len(sent.steps) >= 1
    assert not [name for row in sent.history for name in row if name.startswith("media/")]
    assert sent.exit_code == 130
