"""A dry run says what a run would take, refuses what the run would refuse, and leaves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.app.conftest import Compose
from tests.app.test_command_line import run as command_line
from tests.video.clips import write_video
from vsd.models import hardware
from vsd.models.hardware import GPUs
from vsd.run import app
from vsd.run.app import UsageError
from vsd.run.dry_run import plan as plans
from vsd.run.dry_run.gpus import gpus_of
from vsd.run.dry_run.plan import Plan
from vsd.run.dry_run.seconds import Duration, _machine
from vsd.run.report.folder import last_run
from vsd.step_times.devices import DEVICES
from vsd.step_times.roofline import Machine
from vsd.step_times.shapes import shape

Planned = Callable[..., Plan]


@pytest.fixture
def given(pair: list[str], clips: Path) -> list[str]:
    return [*pair, "data=folder", f"data.path={clips}"]


@pytest.fixture
def planned(configure: Compose, given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planned:
    """The plan of a dry run with these overrides."""
    found = list[Plan]()
    whole = plans.plan

    def kept(*args: Any, **options: Any) -> Plan:
        found.append(whole(*args, **options))
        return found[-1]

    monkeypatch.setattr(plans, "plan", kept)

    def made(*overrides: str, dry_run: str = "true", out: Path = tmp_path / "outputs" / "dry") -> Plan:
        app.run(configure(*given, f"out={out}", f"dry_run={dry_run}", *overrides), tmp_path / "unused")
        return found[-1]

    return made


def test_it_says_what_the_run_then_takes(
    planned: Planned, configure: Compose, given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    first = planned()
    assert sorted(tmp_path.rglob("*")) == before
    assert isinstance(first.duration, str)
    assert "not known: no run of this kind" in " ".join(capsys.readouterr().out.split())

    real = tmp_path / "outputs" / "real"
    app.run(configure(*given, f"out={real}"), real)
    records = last_run(real)[1]
    traces = [record.trace for record in records if record.trace is not None]
    assert [one.visual for one in first.asked] == [trace.visual for trace in traces]
    for one, trace in zip(first.asked, traces, strict=True):
        assert abs(one.visual + one.text["target"] - trace.prompt) <= 2

    again = planned("limit=2", "seed=3")
    assert again.samples == 2
    assert isinstance(again.duration, Duration)
    assert str(real) in again.duration.source
    alone = [record.baseline.seconds["total"] for record in records if record.baseline is not None]
    assert again.duration.method_s == pytest.approx(sum(trace.seconds["total"] for trace in traces) / 2)
    assert again.duration.baseline_s == pytest.approx(sum(alone) / 2)
    assert isinstance(planned("baseline=false").duration, str)  # a run of another kind
    assert isinstance(planned("gamma=3").duration, str)
    simulated = planned("executor=simulated", "executor.profile=h100").duration
    assert simulated == "not known: a simulated run spends another machine's time"

    rest = planned(out=real)
    assert (rest.samples, rest.finished, len(rest.asked)) == (4, 4, 0)
    assert rest.duration == "there is nothing to decode"


def test_every_video_and_question_is_looked_at(
    planned: Planned, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clips / "b.mp4").write_bytes(b"no video")
    write_video(clips / "d.mp4", frames=200)
    found = planned("frames=150")
    assert found.samples == 4
    assert list(found.failures) == ["b.mp4"]
    assert "not a video" in found.failures["b.mp4"]
    assert max(one.visual for one in found.asked) == next(one.visual for one in found.asked if "d.mp4" in one.sample.id)
    assert found.needs[0].cache > planned("frames=150", "limit=1").needs[0].cache  # of the largest
    said = " ".join(capsys.readouterr().out.split())
    assert "3 of 4 to decode, of 3 videos" in said
    assert "b.mp4" in said


def test_what_is_too_long_is_named(planned: Planned, capsys: pytest.CaptureFixture[str]) -> None:
    found = planned("max_new_tokens=505")
    assert found.asked == []
    assert len(found.failures) == 4
    assert found.duration == "there is nothing to decode"
    said = " ".join(capsys.readouterr().out.split())
    assert "prompt and generation must fit the target's context of 512 tokens" in said


@pytest.mark.parametrize("overrides", [["gamma=0"], ["device=cuda:7"], ["draft.path=/no/such/folder"]])
def test_it_refuses_what_the_run_refuses(
    overrides: list[str], configure: Compose, given: list[str], planned: Planned, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as real:
        app.run(configure(*given, *overrides), tmp_path / "run")
    with pytest.raises(UsageError) as dry:
        planned(*overrides)
    assert str(dry.value) == str(real.value)


@pytest.mark.parametrize("value", ["maybe", "h10", "h100*0", "4", "h100*x"])
def test_another_value_is_refused(value: str, planned: Planned) -> None:
    with pytest.raises(UsageError, match=r"^dry_run: must be false, true, or GPUs that are not here as h100"):
        planned(dry_run=value)


def test_gpus_that_are_not_here(planned: Planned) -> None:
    with pytest.raises(UsageError, match=r"^device: the device must be available"):
        planned("device=cuda")
    found = planned("device=cuda", "draft.device=cuda:1", dry_run="h100*2")
    assert {device for need in found.needs for device in need.devices} == {"cuda:0", "cuda:1"}
    assert found.free == {"cuda:0": 80_000_000_000, "cuda:1": 80_000_000_000}
    with pytest.raises(UsageError, match=r"^draft.device: the device must be available .* 'cuda:2'"):
        planned("device=cuda", "draft.device=cuda:2", dry_run="h100*2")
    spread = planned("device=cuda", "target.device_map=auto", dry_run="l40s*4")
    assert len(spread.needs[0].devices) == 4


def test_a_model_that_does_not_fit_them_is_refused(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEVICES, "l40s", replace(DEVICES["l40s"], memory=1000))
    with pytest.raises(UsageError, match=r"^target.path: the weights and caches on cuda:0 must fit its free memory"):
        planned("device=cuda", dry_run="l40s")


def test_only_the_largest_prompt_does_not_fit(
    planned: Planned, clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run would decode the others, so it is no refusal."""
    write_video(clips / "d.mp4", frames=200)
    given = ("device=cuda", "frames=150")
    whole, first = planned(*given, dry_run="l40s").needs, planned(*given, "limit=1", dry_run="l40s").needs
    room = (sum(need.total for need in whole) + sum(need.total for need in first)) // 2
    monkeypatch.setitem(DEVICES, "l40s", replace(DEVICES["l40s"], memory=room))
    assert "must fit its free memory" in planned(*given, dry_run="l40s").crowded
    assert "the longest does not fit" in " ".join(capsys.readouterr().out.split())


def test_the_rooflines_seconds(planned: Planned, checkpoints: dict[str, Path]) -> None:
    """The target alone reads its weights once a token, and once for the prompt."""
    found = planned("device=cuda", "dtype=bfloat16", "parallelism=autoregressive", dry_run="a100")
    assert isinstance(found.duration, Duration)
    model, on = shape(str(checkpoints["target"])), Machine(device=DEVICES["a100"], efficiency=0.27)
    prompt, visual = (found.asked[0].visual + found.asked[0].text["target"]), found.asked[0].visual
    steps = sum(on.pass_s(model, 1, prompt + step) for step in range(7))  # the first of 8 tokens is the prefill's
    one = on.vision_s(model, visual) + on.pass_s(model, prompt, 0, rows=1) + steps
    assert found.duration.method_s == pytest.approx(4 * one, rel=0.05)
    assert found.duration.baseline_s == found.duration.method_s
    fast = planned("device=cuda", "dtype=bfloat16", "compile=cudagraph", "baseline=false", dry_run="a100").duration
    assert isinstance(fast, Duration)
    assert fast.baseline_s == 0
    assert "0.7 of it reached (engine)" in fast.source


def test_what_the_roofline_is_told(planned: Planned) -> None:
    """Two that share a GPU take turns; two that share a model by tensors are faster than one; 8 bits are half of 16."""

    def method(*overrides: str, gpus: str = "l40s") -> float:
        made = planned("device=cuda", "dtype=bfloat16", *overrides, dry_run=gpus).duration
        assert isinstance(made, Duration)
        return made.method_s

    assert method("parallelism=pearl") == pytest.approx(method("parallelism=sequential"))
    apart = method("parallelism=pearl", "draft.device=cuda:1", gpus="l40s*2")
    assert apart != pytest.approx(method("parallelism=pearl"))
    alone = "parallelism=autoregressive"
    assert method("target.tp_plan=auto", alone, gpus="l40s*2") != pytest.approx(method(alone))
    option = {"path": "x", "device": "cuda", "device_map": None, "tp_plan": None, "dtype": "bfloat16"}
    options = (OmegaConf.create({**option, "quantisation": how}) for how in ("none", "int8"))
    machines = [_machine(each, "h100", 1.0) for each in options]
    assert [machine.bytes for machine in machines] == [2, 1]


def test_gpus_are_named_for_a_gpu(planned: Planned) -> None:
    with pytest.raises(UsageError, match=r"^device: must be cuda where GPUs are named \(dry_run=h100\), got 'cpu'"):
        planned(dry_run="h100")


def test_another_machine_is_planned_for_within_only() -> None:
    here = hardware.gpu_count()
    with hardware.planned(gpus_of("h200*8")):
        assert hardware.gpu_count() == hardware.processes() == 8
        assert hardware.free_memory(["cpu", "cuda:3"]) == {"cuda:3": 141_000_000_000}
    assert hardware.gpu_count() == here
    assert gpus_of(True) is None
    assert gpus_of("h200*8") == GPUs(count=8, kind="h200", memory=141_000_000_000)


def test_a_multirun_of_them_from_the_command_line(given: list[str], tmp_path: Path) -> None:
    where = tmp_path / "empty"
    where.mkdir()
    result = command_line("-m", *given, "dry_run=h100*2", "device=cuda", "shard=0/2,1/2", cwd=where)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("2 of 2 to decode") == 2
    assert "2 jobs" in result.stdout
    assert "one after the other" in result.stdout
    assert list(where.iterdir()) == []
    brought = command_line("-m", *given, "experiment=ablation/specvlm", "dry_run=true", cwd=where)
    assert (brought.returncode, brought.stdout.count("4 of 4 to decode")) == (0, 5)
    assert "job 4  without=tree" in brought.stdout
    assert "5 jobs" in brought.stdout
    refused = command_line("-m", *given, "dry_run=true", "gamma=0,1", "out=kept", cwd=where)
    assert refused.returncode == 1
    assert "gamma: must be" in refused.stderr
    swept = command_line("-m", *given, "dry_run=h100,h200", "device=cuda", cwd=where)
    assert (swept.returncode, swept.stderr) == (2, "error: dry_run: must have one value for all jobs, got several\n")
    assert list(where.iterdir()) == []


def test_a_run_after_it_is_the_same_run(configure: Compose, given: list[str], tmp_path: Path) -> None:
    """The dial is no part of what a sample's record depends on."""
    folder = tmp_path / "run"
    app.run(configure(*given, f"out={folder}", "limit=1"), folder)
    config = json.loads((folder / "provenance.json").read_text())["config"]
    app.run(configure(*given, f"out={folder}", "limit=1", "dry_run=true"), folder)
    assert json.loads((folder / "provenance.json").read_text())["config"] == config
