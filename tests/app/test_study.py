"""`vsd study`: what is searched, what it leaves, how it goes on, refusals. Decoding is faked."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import ROOT, FakeEngine
from vsd.commands import study

optuna = pytest.importorskip("optuna", reason="comes with vsd[study]")

GOALS = ["--maximize", "accept/length", "--minimize", "prune/kept"]


@pytest.fixture
def call(fake: FakeEngine, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls the study on two of the clips with more arguments; the rest of its overrides come last."""
    monkeypatch.chdir(ROOT)

    def called(*arguments: str, goals: list[str] = GOALS, space: tuple[str, ...] = ("ratio=interval(0.1,0.9)",)) -> int:
        fixed = ["data=folder", f"data.path={clips}", "frames=4", "limit=2", "callbacks=quiet", "baseline=false"]
        return study.main([*goals, "--folder", str(tmp_path / "study"), "--seed", "1", *arguments, *fixed, *space])

    return called


def rows(tmp_path: Path) -> list[dict[str, str]]:
    with (tmp_path / "study" / "trials.csv").open() as stream:
        return list(csv.DictReader(stream))


def distributions(*overrides: str) -> dict[str, Any]:
    trial = optuna.create_study().ask()
    for override in study.searched(overrides):
        study.suggest(trial, override)
    return dict(trial.distributions)


def test_hydra_s_sweeps_say_what_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = distributions(
        "ratio=interval(0.5,0.9)", "gamma=range(1,11)", "frames=tag(log,range(1,33))", "pruner=random,uniform",
        "top_k=range(0,10,5)", "seed=3",
    )  # fmt: skip
    assert found == {
        "ratio": optuna.distributions.FloatDistribution(0.5, 0.9),
        "gamma": optuna.distributions.IntDistribution(1, 10),
        "frames": optuna.distributions.IntDistribution(1, 32, log=True),
        "pruner": optuna.distributions.CategoricalDistribution(["random", "uniform"]),
        "top_k": optuna.distributions.CategoricalDistribution(["0", "5"]),
    }


def test_a_study_leaves_its_trials_and_its_front(call: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--trials", "3", space=("ratio=interval(0.1,0.9)", "pruner=random,uniform")) == 0
    found = rows(tmp_path)
    assert [row["state"] for row in found] == ["complete"] * 3
    assert all(float(row["accept/length"]) == 3 and 0.1 <= float(row["ratio"]) <= 0.9 for row in found)
    assert len(list((tmp_path / "study").glob("*/metrics.json"))) == 3
    shown = capsys.readouterr().out
    assert "The front" in shown
    assert "pruner=" in shown


def test_no_setting_of_a_finite_grid_is_tried_twice(
    call: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = ("pruner=random,uniform", "ratio=0.5,0.7", "gamma=range(2,4)")
    assert call("--trials", "5", space=space) == 0
    with caplog.at_level(logging.INFO):
        assert call("--trials", "50", space=space) == 0
    assert "all 8 settings are tried" in caplog.text
    done = [row for row in rows(tmp_path) if row["state"] == "complete"]
    settings = {(row["pruner"], row["ratio"], row["gamma"]) for row in done}
    assert len(settings) == len(done) == 8


def test_it_goes_on_where_it_stopped(call: Any, tmp_path: Path, fake: FakeEngine) -> None:
    assert call("--trials", "2") == 0
    first = rows(tmp_path)
    calls = fake.calls
    assert call("--trials", "2") == 0
    assert fake.calls == calls
    assert call("--trials", "3") == 0
    found = rows(tmp_path)
    assert [row["ratio"] for row in found[:2]] == [row["ratio"] for row in first]
    assert len({row["ratio"] for row in found}) == len(found) == 3  # the same seed does not say the same again


def test_an_interrupted_trial_is_begun_anew_with_its_finished_samples(
    call: Any, tmp_path: Path, fake: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.trouble[3] = KeyboardInterrupt()  # the first sample is decoded twice, to warm up
    assert call("--trials", "1") == 130
    assert call("--trials", "1") == 0
    first, second = rows(tmp_path)
    assert (first["state"], second["state"]) == ("fail", "complete")
    assert first["ratio"] == second["ratio"]
    assert fake.calls == 5  # a new engine warms up again, and decodes the second sample only
    assert len(list((tmp_path / "study").glob("*/metrics.json"))) == 1


def test_a_trial_that_decodes_nothing_is_a_failed_one(call: Any, tmp_path: Path, clips: Path) -> None:
    for file in clips.glob("*"):
        file.write_bytes(b"")
    assert call("--trials", "2") == 1
    assert [row["state"] for row in rows(tmp_path)] == ["fail", "fail"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"goals": []}, "--maximize: must name a metric"),
        ({"goals": ["--maximize", "speed"]}, "must be a metric of metrics.json, got 'speed'"),
        ({"goals": ["--maximize", "accept/length", "--minimize", "accept/length"]}, "must name each metric once"),
        ({"space": ("ratio=0.5",)}, "one must leave a choice"),
        ({"space": ("pruner=glob(*)",)}, "pruner: must list its options"),
        ({"space": ("ratio=interval(1,2)",)}, "ratio: must be a number in [0, 1)"),
        ({"space": ("ratio=interval(",)}, "'interval('"),
        ({"space": ("ratio=interval(0.9,0.1)",)}, "ratio: must be a choice, a range or an interval"),
        ({"space": ("ratio=tag(log,interval(0,0.9))",)}, "ratio: must be a choice, a range or an interval"),
        ({"space": ("gamma=range(5,5)",)}, "gamma: must be a choice, a range or an interval"),
        ({"space": ("gamma=tag(log,choice(1,2))",)}, "gamma: must be a choice, a range or an interval"),
        ({"space": ("rati=1,2",)}, "rati"),
        ({"space": ("ratio=0.1,0.2", "out=x")}, "out: must be left to the study"),
        ({"space": ("ratio=0.1,0.2", "gamma=1", "gamma=2,3")}, "each dial must be set once"),
    ],
)
def test_what_cannot_run_is_refused(
    call: Any, capsys: pytest.CaptureFixture[str], arguments: Any, message: str
) -> None:
    assert call(**arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--trials", "0"), ("--seed", "-1")])
def test_numbers_out_of_range_are_refused(
    call: Any, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert call(option, value) == 2
    assert f"{option}: must be at least" in capsys.readouterr().err


def test_a_folder_that_takes_no_files_is_refused(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--folder", "/proc/none") == 2
    assert capsys.readouterr().err == (
        "error: --folder: must be a folder that can be written to, got '/proc/none' (No such file or directory)\n"
    )


def test_a_folder_holds_one_study(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    goals = ["--maximize", "accept/length", "--maximize", "prune/kept"]
    assert call("--trials", "1", goals=goals) == 0
    for others in (goals[:2], goals[2:] + goals[:2], GOALS):
        assert call("--trials", "2", goals=others) == 2
        assert "of the same goals, got one of accept/length maximize prune/kept" in capsys.readouterr().err
    assert call("--trials", "2", goals=goals, space=("ratio=interval(0.1,0.8)",)) == 2
    assert "of the same overrides, got one of baseline=false" in capsys.readouterr().err


def test_a_study_that_has_finished_nothing_can_be_begun_otherwise(call: Any, fake: FakeEngine) -> None:
    fake.trouble[1] = KeyboardInterrupt()
    assert call("--trials", "1", goals=["--maximize", "accept/rate", "--minimize", "prune/kept"]) == 130
    assert call("--trials", "1") == 0


def test_a_metric_without_a_value_fails_its_trial(call: Any, tmp_path: Path) -> None:
    assert call("--trials", "2", goals=["--maximize", "relax/gap"]) == 1  # nothing is relaxed
    assert [row["state"] for row in rows(tmp_path)] == ["fail", "fail"]


def test_the_folder_of_a_trial_is_named_by_its_settings() -> None:
    trial, other = (
        optuna.trial.create_trial(
            params={"gamma": 3, name: 1},
            distributions={each: optuna.distributions.IntDistribution(1, 9) for each in ("gamma", name)},
            value=1.0,
        )
        for name in ("a/b", "語" * 100)
    )
    assert "/" not in study.name_of(trial)
    assert study.name_of(trial) != study.name_of(other)
    assert len(study.name_of(trial).encode()) <= study.LONGEST_NAME


def test_any_folder_will_do(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert call("--trials", "1") == 0
