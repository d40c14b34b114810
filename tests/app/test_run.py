"""A whole run in this process: what it leaves, how it goes on after an interruption, what one bad sample does."""

from __future__ import annotations

import csv
import gc
import json
import multiprocessing
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from tests.app.conftest import Compose, FakeEngine
from tests.video.clips import truncate, write_video
from tests.video.test_apart import serve
from vsd.models import VideoLM
from vsd.run import app, locks, provenance
from vsd.run.app import NothingDone, UsageError
from vsd.run.report.folder import RunFolder
from vsd.run.task import sample_seed
from vsd.types import Trace
from vsd.verifiers.topk import TopK
from vsd.video import apart


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def test_a_run_leaves_what_the_readme_promises(
    configure: Compose, pair: list[str], clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = configure(*pair, "pruner=uniform", "ratio=0.5", "data=folder", f"data.path={clips}", "limit=2", "logger=csv")
    metrics = app.run(cfg, tmp_path / "run")
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics == {name: value for name, value in written.items() if not name.endswith(("_se", "_low", "_high"))}
    assert (metrics["samples/done"], metrics["samples/failed"], metrics["exact/mismatched"]) == (2, 0, 0)
    assert metrics["prune/kept"] == metrics["prune/visual"] // 2
    assert {"speed/decode", "speed/end_to_end", "speed/ttft", "speed/predicted", "memory/peak_mb"} <= set(metrics)
    first, second = lines(tmp_path / "run")
    assert (first["id"], second["id"]) == ("a.mp4", "b.mp4")
    assert first["trace"]["rounds"][0]["drafted"] == 5
    assert first["trace"]["tokens"] == first["baseline"]["tokens"]
    assert first["text"] == first["baseline_text"]
    config = OmegaConf.load(tmp_path / "run" / "config.yaml")
    assert (config.pruner.ratio, config.out) == (0.5, str(tmp_path / "run"))
    assert "${" not in (tmp_path / "run" / "config.yaml").read_text()
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert {"time", "command", "git", "packages", "hardware"} <= set(provenance)
    assert "accept/length" in (tmp_path / "run" / "csv" / "metrics.csv").read_text()
    shown = capsys.readouterr().out
    assert "token-identical" in shown
    assert "target alone" in shown
    assert str(tmp_path)[:20] in shown


def test_self_speculation_loads_its_weights_once(configure: Compose, pair: list[str]) -> None:
    cfg = configure(pair[0], *pair[2:], "draft=self", "pruner=none")
    engine = app.build_engine(cfg, app.prepare(cfg, [])[0])
    assert engine.draft is engine.target


def test_however_it_computes_its_drafts(configure: Compose, pair: list[str]) -> None:
    own = ["compile=eager", "draft.compile=none", "draft.attention=split", "draft.prefill_chunk=64"]
    cfg = configure(pair[0], *pair[2:], "draft=self", "pruner=none", *own)
    engine = app.build_engine(cfg, app.prepare(cfg, [])[0])
    target, draft = engine.target, engine.draft
    assert isinstance(draft, VideoLM)
    assert draft.model is target.model
    assert (draft.compile, draft.attention, draft.prefill_chunk) == ("none", "split", 64)
    assert (target.compile, target.attention, target.prefill_chunk) == ("eager", "auto", None)


def test_parallelism_autoregressive_needs_no_draft(
    configure: Compose, pair: list[str], clips: Path, tmp_path: Path
) -> None:
    cfg = configure(pair[0], *pair[2:], "draft=none", "parallelism=autoregressive", "data=folder", f"data.path={clips}")
    metrics = app.run(cfg, tmp_path / "run")
    assert metrics["accept/tokens_per_target_forward"] == 1
    assert metrics["exact/mismatched"] == 0


def test_a_prompt_longer_than_the_context_fails_with_its_reason(
    configure: Compose, pair: list[str], clips: Path, tmp_path: Path
) -> None:
    question = "What? " * 100
    cfg = configure(*pair, "data=folder", f"data.path={clips}", f"data.question='{question}'")
    with pytest.raises(NothingDone, match=r"context .* 512 tokens"):
        app.run(cfg, tmp_path / "run")
    assert {line["failure"] for line in lines(tmp_path / "run")} != {""}


@pytest.fixture
def on_clips(configure: Compose, clips: Path) -> Compose:
    """Composes a run over the four clips, for the engine without a model."""
    return lambda *overrides: configure("data=folder", f"data.path={clips}", "frames=4", "callbacks=quiet", *overrides)


def test_bad_videos_are_recorded_and_the_run_goes_on(
    on_clips: Compose, fake: FakeEngine, clips: Path, tmp_path: Path
) -> None:
    truncate(clips / "b.mp4")
    write_video(clips / "c.mp4", frames=2)
    metrics = app.run(on_clips(), tmp_path / "run")
    assert (metrics["samples/done"], metrics["samples/failed"]) == (3, 1)
    rows = {row["id"]: row for row in lines(tmp_path / "run")}
    assert "truncated" in rows["b.mp4"]["failure"]
    assert rows["c.mp4"]["warnings"] == ["there are 2 frames to see, fewer than frames=4"]


def test_files_that_hang_stop_or_kill_their_reader_cost_a_sample_each(
    on_clips: Compose, fake: FakeEngine, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "serve", serve)
    for name in ("crash", "hang", "stop"):
        write_video(clips / f"{name}.mp4", frames=6)
    metrics = app.run(on_clips("video.timeout_s=1"), tmp_path / "run")
    assert (metrics["samples/done"], metrics["samples/failed"]) == (4, 3)
    failures = {row["id"]: row["failure"].partition(": ")[2] for row in lines(tmp_path / "run") if row["failure"]}
    assert failures == {
        "crash.mp4": "its reader died over it (exit code -11)",
        "hang.mp4": "reading it stands still for 1 s (video.timeout_s)",
        "stop.mp4": "reading it stands still for 1 s (video.timeout_s)",
    }
    assert not [child for child in multiprocessing.active_children() if child.name == "vsd-reader"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("video.reader=cv2", r"video\.reader: must be one of auto, pyav, decord, torchcodec, got 'cv2'"),
        ("video.reader=null", r"video\.reader: must be one of .*, got None"),
        ("video.timeout_s=0", r"video\.timeout_s: must be a number, at least 1, got 0"),
        ("video.timeout_s=abc", r"video\.timeout_s: must be a number, at least 1, got 'abc'"),
        ("+video.threads=2", r"video: must be reader and timeout_s, got \{.*'threads': 2\}"),
        ("video=auto", r"video: must be reader and timeout_s, got 'auto'"),
    ],
)
def test_ways_to_read_that_there_are_not_are_refused(
    given: str, message: str, on_clips: Compose, fake: FakeEngine, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        app.run(on_clips(given), tmp_path / "run")


def test_out_of_memory_on_one_sample_is_recorded(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    fake.trouble = {3: torch.OutOfMemoryError("CUDA out of memory")}
    metrics = app.run(on_clips(), tmp_path / "run")
    assert (metrics["samples/done"], metrics["samples/failed"]) == (3, 1)


def test_a_bug_is_not_recorded_as_a_bad_sample(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    fake.trouble = {3: ValueError("a bug")}
    with pytest.raises(ValueError, match="a bug"):
        app.run(on_clips(), tmp_path / "run")
    assert len(lines(tmp_path / "run")) == 1


def test_ctrl_c_keeps_what_is_finished_and_the_next_run_goes_on(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path
) -> None:
    fake.trouble = {4: KeyboardInterrupt()}  # one warm-up, two samples, and then
    with pytest.raises(KeyboardInterrupt):
        app.run(on_clips(), tmp_path / "run")
    assert [row["id"] for row in lines(tmp_path / "run")] == ["a.mp4", "b.mp4"]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["samples/done"] == 2

    fake.calls, fake.trouble = 0, {}
    metrics = app.run(on_clips(), tmp_path / "run")
    assert fake.calls == 3  # one warm-up and the two that were left
    assert [row["id"] for row in lines(tmp_path / "run")] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert metrics["samples/done"] == 4
    assert len(json.loads((tmp_path / "run" / "provenance.json").read_text())["earlier"]) == 1


def test_a_finished_run_decodes_nothing_again(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    first = app.run(on_clips("limit=2"), tmp_path / "run")
    fake.calls = 0
    assert app.run(on_clips("limit=2"), tmp_path / "run") == first
    assert fake.calls == 0
    assert app.run(on_clips("limit=3"), tmp_path / "run")["samples/done"] == 3
    assert fake.calls == 2


def test_another_config_in_the_same_folder_shares_no_samples(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path
) -> None:
    app.run(on_clips("ratio=0.5"), tmp_path / "run")
    metrics = app.run(on_clips("ratio=0.8"), tmp_path / "run")
    assert len(lines(tmp_path / "run")) == 8
    assert metrics["samples/done"] == 4


def test_failed_samples_are_tried_again(on_clips: Compose, fake: FakeEngine, clips: Path, tmp_path: Path) -> None:
    truncate(clips / "b.mp4")
    app.run(on_clips(), tmp_path / "run")
    write_video(clips / "b.mp4", frames=6)
    metrics = app.run(on_clips(), tmp_path / "run")
    assert (metrics["samples/done"], metrics["samples/failed"]) == (4, 0)


def test_baseline_is_measured_unless_told(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    assert app.run(on_clips("limit=1"), tmp_path / "with")["speed/decode"] == pytest.approx(3.0)
    without = app.run(on_clips("limit=1", "baseline=false"), tmp_path / "without")
    assert "speed/decode" not in without
    assert "exact/mismatched" not in without


def test_a_mismatch_is_counted(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    fake.tokens = (1, 2, 9)
    assert app.run(on_clips("limit=2"), tmp_path / "run")["exact/mismatched"] == 2


@pytest.mark.parametrize("baseline", ["true", "cache"])
@pytest.mark.parametrize(("gap", "near", "unexplained"), [(0.5, 2, 0), (1.5, 0, 2)])
def test_a_mismatch_is_a_near_tie_or_a_fault(
    gap: float, near: int, unexplained: int, baseline: str, on_clips: Compose, fake: FakeEngine, tmp_path: Path
) -> None:
    fake.tokens, fake.gap = (1, 2, 9), gap
    options = ("limit=2", f"baseline={baseline}", f"baseline_folder={tmp_path / 'baselines'}")
    for _ in range(2):  # the second time from the folder
        metrics = app.run(on_clips(*options), tmp_path / "run")
        assert (metrics["exact/near_tie"], metrics["exact/unexplained"]) == (near, unexplained)
    found = lines(tmp_path / "run")[0]["audit"]
    assert found == {"place": 2, "ours": 9, "baseline": 3, "gap": gap, "step": 0.25, "limit": 4.0, "violations": 0}


def test_a_rule_that_may_differ_is_not_audited(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    fake.tokens = (1, 2, 9)
    fake.verifier = TopK()
    metrics = app.run(on_clips("limit=2", "verifier=topk"), tmp_path / "run")
    assert metrics["exact/mismatched"] == 2
    assert not {"exact/near_tie", "exact/unexplained"} & set(metrics)
    assert lines(tmp_path / "run")[0]["audit"] is None


def test_the_cached_baseline_is_measured_once(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = FakeEngine(alone=True)
    monkeypatch.setattr(FakeEngine, "baseline", lambda self: alone)
    cached = ["limit=2", "baseline=cache", f"baseline_folder={tmp_path / 'cache'}"]
    first = app.run(on_clips(*cached, "ratio=0.5", "target.path=a/b"), tmp_path / "one")
    measured = alone.calls
    second = app.run(on_clips(*cached, "ratio=0.8", "target.path=a/b"), tmp_path / "two")
    assert alone.calls == measured
    assert first["speed/decode"] == second["speed/decode"] == pytest.approx(3.0)
    app.run(on_clips(*cached, "max_new_tokens=9", "target.path=a/b"), tmp_path / "three")
    assert alone.calls > measured


@pytest.mark.parametrize(
    "change",
    [
        *("max_new_tokens=9", "frames=3", "seed=1", "target.dtype=float64", "target.device=meta", "target.path=c/d"),
        *("target.compile=eager", "target.attention=split", "target.quantisation=int8", "target.rope=library"),
        *("data.question=Why?", "vocab", "video", "packages", "git_state", "hardware", "node"),
    ],
)
def test_another_setting_is_another_baseline(
    on_clips: Compose, fake: FakeEngine, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    alone = FakeEngine(alone=True)
    monkeypatch.setattr(FakeEngine, "baseline", lambda self: alone)
    cached = ["limit=1", "baseline=cache", f"baseline_folder={tmp_path / 'cache'}", "target.path=a/b"]
    app.run(on_clips(*cached, "ratio=0.1"), tmp_path / "one")
    app.run(on_clips(*cached, "ratio=0.2", "draft.dtype=float64"), tmp_path / "two")
    measured = alone.calls
    if change == "vocab":
        fake.vocab -= 1
    elif change == "video":
        write_video(clips / "a.mp4", frames=9)
    elif change in ("packages", "git_state", "hardware"):
        monkeypatch.setattr(provenance, change, lambda *_: {"other": "1"})
    elif change == "node":
        monkeypatch.setattr(platform, "node", lambda: "another")
    app.run(on_clips(*cached, *([change] if "=" in change else [])), tmp_path / "three")
    assert alone.calls > measured


def test_both_engines_warm_up_and_take_turns(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    app.run(on_clips("limit=3"), tmp_path / "run")
    assert fake.log == ["alone", "alone", "pair", "pair", "pair", "alone", "alone", "pair", "closed"]


def test_what_changed_under_a_samples_id_is_decoded_again(
    configure: Compose, fake: FakeEngine, clips: Path, tmp_path: Path
) -> None:
    cfg = configure(f"data.path={clips}", "frames=4", "callbacks=quiet")
    for question, calls in (("What?", 2), ("What?", 0), ("Why?", 2)):
        row = {"id": "a", "video": "a.mp4", "questions": [{"kind": "one", "text": question}]}
        (clips / "clips.jsonl").write_text(json.dumps(row) + "\n")
        fake.calls = 0
        assert app.run(cfg, tmp_path / "run")["samples/done"] == 1
        assert fake.calls == calls


def test_a_replaced_video_is_decoded_again(on_clips: Compose, fake: FakeEngine, clips: Path, tmp_path: Path) -> None:
    app.run(on_clips(), tmp_path / "run")
    for replace in (lambda: write_video(clips / "b.mp4", frames=9), lambda: os.utime(clips / "b.mp4", (0, 0))):
        replace()
        fake.calls = 0
        assert app.run(on_clips(), tmp_path / "run")["samples/done"] == 4
        assert fake.calls == 2  # a warm-up, and the one that was replaced


def test_a_finished_sample_outlives_its_video(
    configure: Compose, fake: FakeEngine, clips: Path, tmp_path: Path
) -> None:
    row = {"id": "a", "video": "a.mp4", "questions": [{"kind": "one", "text": "What?"}]}
    (clips / "clips.jsonl").write_text(json.dumps(row))
    cfg = configure(f"data.path={clips}", "frames=4", "callbacks=quiet")
    first = app.run(cfg, tmp_path / "run")
    (clips / "a.mp4").unlink()
    fake.calls = 0
    assert app.run(cfg, tmp_path / "run") == first
    assert fake.calls == 0


def test_a_video_that_changes_meanwhile_is_reported_and_decoded_again(
    on_clips: Compose, fake: FakeEngine, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = fake.run

    def touching(*args: Any, **how: Any) -> Trace:
        os.utime(clips / "a.mp4", (fake.calls, 0))
        return decode(*args, **how)

    monkeypatch.setattr(fake, "run", touching)
    assert app.run(on_clips("limit=1"), tmp_path / "run")["samples/done"] == 1
    fake.calls = 0
    app.run(on_clips("limit=1"), tmp_path / "run")
    assert fake.calls == 2


@pytest.mark.parametrize("role", ["target", "draft"])
def test_other_weights_are_another_run(
    configure: Compose, pair: list[str], checkpoints: dict[str, Path], clips: Path, tmp_path: Path, role: str
) -> None:
    own = shutil.copytree(checkpoints[role], tmp_path / role)
    cfg = configure(*pair, f"{role}.path={own}", "data=folder", f"data.path={clips}", "limit=1", "baseline=false")
    for runs in (1, 1, 2):
        if runs == 2:
            os.utime(own / "model.safetensors", (0, 0))
        app.run(cfg, tmp_path / "run")
        assert len(lines(tmp_path / "run")) == runs


def test_a_folder_of_another_config_is_named(
    on_clips: Compose, fake: FakeEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for ratio, warned in (("0.5", False), ("0.8", True), ("0.5", False)):
        caplog.clear()
        app.run(on_clips(f"ratio={ratio}", "limit=1"), tmp_path / "run")
        assert ("holds samples of another config" in caplog.text) == warned


def test_what_is_logged_is_what_is_written(on_clips: Compose, fake: FakeEngine, tmp_path: Path) -> None:
    metrics = app.run(on_clips("logger=csv"), tmp_path / "csv")
    with (tmp_path / "csv" / "csv" / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert {name: float(row[name]) for name in metrics} == pytest.approx(metrics)


def test_an_id_that_comes_twice_is_refused(configure: Compose, fake: FakeEngine, clips: Path, tmp_path: Path) -> None:
    row = json.dumps({"id": 1, "video": "a.mp4", "questions": [{"kind": "one", "text": "What?"}]})
    (clips / "clips.jsonl").write_text(f"{row}\n{row}\n")
    with pytest.raises(UsageError, match=r"^data: the ids of samples must differ, got '1-one' more than once"):
        app.run(configure(f"data.path={clips}"), tmp_path / "run")


def test_a_record_of_other_fields_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text('{"id": "a", "config": "c", "trace": {"tokens": []}}\n')
    assert RunFolder(tmp_path, "c").records() == {}


@pytest.mark.filterwarnings("ignore:.torch.distributed.reduce_op:FutureWarning")  # of looking at all objects
def test_a_multirun_does_not_keep_its_models(configure: Compose, pair: list[str], clips: Path, tmp_path: Path) -> None:
    alive = []
    for job in range(3):
        app.run(configure(*pair, "data=folder", f"data.path={clips}", "limit=1"), tmp_path / str(job))
        alive.append(sum(isinstance(thing, VideoLM) for thing in gc.get_objects()))
    assert alive[0] == alive[1] == alive[2]


def test_a_draft_of_another_precision_is_loaded_for_itself(configure: Compose, pair: list[str]) -> None:
    cfg = configure(pair[0], *pair[2:], "draft=self", "draft.dtype=float64", "pruner=none")
    engine = app.build_engine(cfg, app.prepare(cfg, [])[0])
    assert engine.draft is not engine.target


def test_the_seed_of_a_sample_does_not_depend_on_its_place() -> None:
    assert sample_seed(0, "a") == sample_seed(0, "a")
    assert len({sample_seed(0, "a"), sample_seed(0, "b"), sample_seed(1, "a")}) == 3
    assert 0 <= sample_seed(2**32 - 1, "a") < 2**32


def test_two_jobs_do_not_decode_one_shard_into_one_folder(
    configure: Compose, pair: list[str], clips: Path, fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "CLAIM_S", 0.0)
    folder = tmp_path / "run"
    cfg = configure(*pair, "data=folder", f"data.path={clips}", f"out={folder}")
    with locks.claimed(folder, ".shard-0-of-1", field="out"):
        with pytest.raises(UsageError, match=r"^out: must have no other job at work on it, got one in '.*run'"):
            app.run(cfg, folder)
        assert app.run(configure(*pair, "data=folder", f"data.path={clips}", "shard=0/2"), folder)["samples/done"] == 2
    assert app.run(cfg, folder)["samples/done"] == 4
    assert not [*folder.glob("*.lock"), *folder.glob(".*.lock")]
