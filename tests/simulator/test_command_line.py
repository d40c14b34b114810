"""``vsd simulate``: its table, its best setting, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.simulator.test_times import ROUNDS, a_record
from vsd.commands.simulate import main
from vsd.run.report.folder import RunFolder
from vsd.run.schema import SCHEMA
from vsd.step_times.profile import Profile

TIMES = ["--times", "target_s=0.42,draft_s=0.0466"]
QUICK = [*TIMES, "--rate", "0.87", "--precision", "0.1", "--tokens", "128"]


def test_a_row_a_setting_and_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--schedule", "sequential,pearl", "--ratio", "0,0.9", "--gamma", "1,8-9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 2 * 2 * 3 + 3
    assert lines[0].split()[1:6:2] == ["schedule", "ratio", "gamma"]
    assert "best, decode: 3." in lines[-3]
    assert "schedule pearl" in lines[-3]
    assert "gamma 9" in lines[-3]


def test_a_roofline_and_its_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    pair = ["--target", "llava_ov_72b", "--draft", "llava_ov_7b", "--device", "l40s", "--target-devices", "8"]
    more = ["--rate", "0.9,0.8", "--visual", "25088", "--gamma", "4", "--precision", "0.1", "--ratio", "0.9"]
    assert main([*pair, *more, "--figure", str(tmp_path / "out.svg")]) == 0
    assert "sequential" in capsys.readouterr().out
    assert (tmp_path / "out.svg").read_text().startswith("<?xml")


def a_run(folder: Path) -> Path:
    """The folder of a run with the records that the profile's tests are made of."""
    run = RunFolder(folder, "x")
    run.open(OmegaConf.create({}), {"schema": SCHEMA})
    run.append(a_record(*ROUNDS))
    return folder


def test_a_finished_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "profile.json"
    assert main(["--run", str(a_run(tmp_path)), "--gamma", "5", "--save-profile", str(file)]) == 0
    assert "0.625" in capsys.readouterr().out  # 15 of its 40 visual tokens were kept
    assert Profile.load(file) == Profile.from_records([a_record(*ROUNDS)])
    assert main(["--profile", str(file), "--rate", "0.5", "--gamma", "2", "--precision", "0.1"]) == 0
    assert main(["--run", str(tmp_path), *TIMES, "--gamma", "2"]) == 0


def test_two_kinds_of_devices_and_slow_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "profile.json"
    assert main(["--run", str(a_run(tmp_path)), "--gamma", "5", "--save-profile", str(file)]) == 0
    speeds = list[float]()
    for times in (
        ["--target", "qwen2_5_vl_7b", "--draft", "qwen2_5_vl_3b", "--device", "h100"],
        ["--target", "qwen2_5_vl_7b", "--draft", "qwen2_5_vl_3b", "--device", "h100,l40s"],
        ["--profile", str(file)],
        ["--profile", str(file), "--latency-us", "1e9"],
    ):
        capsys.readouterr()
        assert main([*times, "--rate", "1", "--gamma", "2", "--schedule", "pearl"]) == 0
        speeds.append(float(capsys.readouterr().out.split("best, decode: ")[1].split("x")[0]))
    assert speeds[0] > speeds[1]
    assert speeds[2] > speeds[3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--target: must be given with --draft, or one of --run, --profile, --times instead, got ''"),
        ([*TIMES], "--rate: must be given where there is no --run, got None"),
        ([*TIMES, "--rate", "1.5"], "--rate: must be numbers in [0, 1], got '1.5'"),
        ([*QUICK, "--gamma", "0-3"], "--gamma: must be whole numbers, at least 1, as in 1,2,4-8, got '0-3'"),
        ([*QUICK, "--gamma", "5-3"], "--gamma: must be whole numbers, at least 1, as in 1,2,4-8, got '5-3'"),
        ([*QUICK, "--ratio", "0.5,1"], "--ratio: must be in [0, 1), got '0.5,1'"),
        ([*QUICK, "--schedule", "eagle"], "--schedule: must be a list of sequential, "),
        ([*QUICK, "--tokens", "1"], "--tokens: must be a whole number, at least 2, got '1'"),
        ([*QUICK, "--tree", "0,0"], "--tree: drafter.paths: must be "),
        ([*QUICK, "--precision", "0.1,0.2"], "--precision: must be one number in (0, 1), got '0.1,0.2'"),
        (["--times", "target_s=1", "--rate", "1"], "--times: must be NAME=SECONDS,..., with target_s, draft_s and of "),
        (["--times", "target_s=1,draft_s=-1", "--rate", "1"], "--times: must be NAME=SECONDS,"),
        (["--target", "llava_ov_72b", "--rate", "1"], "--draft: must be given with --target, got None"),
        (["--target", "x/y/z", "--draft", "llava_ov_7b", "--rate", "1"], "--target: must be a checkpoint or one of "),
        (["--target", "a", "--draft", "b", "--device", "tpu"], "--device: must be one of a100, h100, h200, l40s, or "),
        (["--target", "a", "--draft", "b", "--device", "h100,h100,h100"], "--device: must be one of a100, "),
        ([*QUICK, "--save-profile", "x.json"], "--save-profile: must be given with --run, whose times it writes, got "),
        (["--run", "nowhere"], "--run: must be the folder of a run, got 'nowhere'"),
        (["--profile", "nowhere", "--rate", "1"], "profile: must be a file of step times, got 'nowhere'"),
        (
            [*QUICK, "--schedule", "pearl", "--tree", "0 1"],
            "--tree: must be empty with pearl, which need chains, got '0 1'",
        ),
        (["--times", "target_s=0,draft_s=1", "--rate", "1"], "--times: must be with a target_s above 0, got "),
        ([*QUICK, "--figure", "/no/such/folder/a.svg"], "--figure: must be in a folder that exists, got "),
        ([*QUICK, "--figure", "a.xyz"], "--figure: must be a file of .svg, .png or .pdf, got 'a.xyz'"),
    ],
)
def test_what_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {message}")
    assert told.count("\n") == 1
