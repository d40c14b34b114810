"""`vsd study`: what is searched, what it leaves, how it goes on, refusals. Decoding is faked."""

from __future__ import annotations

import csv
import logging
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import ROOT, FakeEngine
from vsd.commands import study
from vsd.commands.study import pictures, result, space, trials

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
    for override in space.searched(overrides):
        space.suggest(trial, override)
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


def test_an_experiment_brings_what_is_searched(call: Any, tmp_path: Path) -> None:
    assert call("--trials", "9", space=("experiment=sweep/pruner_ratio", "ratio=0.5", "pruner=random,uniform")) == 0
    found = rows(tmp_path)
    assert {(row["pruner"], row["state"]) for row in found} == {("random", "complete"), ("uniform", "complete")}
    assert len(found) == 2, "the command line beats the experiment's values"
    brought = ["experiment=sweep/schedule", "gamma=range(1,9)", "limit=2"]
    assert space.with_experiment(brought) == [
        "parallelism=sequential,pearl,hippo,parallelvlm",
        "ratio=0,0.5,0.9",
        *brought,
    ]


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
        ({"space": ("ratio=0.1,0.2", "dry_run=true")}, "dry_run: must be left out of a study, got dry_run=true"),
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
    assert "/" not in trials.name_of(trial)
    assert trials.name_of(trial) != trials.name_of(other)
    assert len(trials.name_of(trial).encode()) <= trials.LONGEST_NAME


def test_any_folder_will_do(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert call("--trials", "1") == 0


def test_it_ends_with_the_best_command_and_pictures(
    call: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = ("pruner=random,uniform", "ratio=0.5,0.7", "gamma=range(2,4)")
    assert call("--trials", "6", space=space) == 0
    said = capsys.readouterr().out
    commands = [line.strip() for line in said.splitlines() if line.strip().startswith("vsd data=folder")]
    assert len(commands) == 2  # one a goal
    trial = {row["trial"]: row for row in rows(tmp_path)}
    best = min(trial.values(), key=lambda row: float(row["prune/kept"]))
    words = shlex.split(commands[1])
    assert {word for word in words if word.split("=")[0] in ("pruner", "ratio", "gamma")} <= {
        f"{name}={row[name]}" for row in trial.values() for name in ("pruner", "ratio", "gamma")
        if row["prune/kept"] == best["prune/kept"]
    }  # fmt: skip
    assert {"data=folder", "frames=4", "limit=2"} <= set(words)
    assert "best accept/length  3.00" in said
    assert "is not told apart from it" in said  # the engine is a fake one: all trials give the same
    drawn = sorted(path.name for path in (tmp_path / "study").glob("*.svg"))
    assert drawn == ["front.svg", "history-accept-length.svg", "history-prune-kept.svg"]  # nothing mattered


def test_what_mattered_is_drawn(tmp_path: Path) -> None:
    made = optuna.create_study(directions=["maximize"])
    made.optimize(lambda trial: trial.suggest_float("ratio", 0, 1) + 0 * trial.suggest_int("gamma", 1, 5), n_trials=8)
    files = pictures.draw(made, [("speed/decode", "maximize")], tmp_path)
    assert [file.name for file in files] == ["history-speed-decode.svg", "importance-speed-decode.svg"]
    assert all(file.read_text().startswith("<?xml") for file in files)


def test_a_command_can_be_copied() -> None:
    given = ["data=folder", "data.path=my clips", "ratio=interval(0,1)", "+x=1"]
    made = result.command({"ratio": 0.25, "pruner": "hippo"}, given)
    assert shlex.split(made) == ["vsd", "data=folder", "data.path=my clips", "+x=1", "ratio=0.25", "pruner=hippo"]
