"""`python -m vsd.study`: what is searched, what it leaves, how it goes on, what it refuses. Decoding is faked."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import ROOT, FakeEngine
from vsd import study

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
    for override in study.searched(overrides, {"x": "maximize"}):
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
    assert "ratio=0." in shown


def test_it_goes_on_where_it_stopped(call: Any, tmp_path: Path, fake: FakeEngine) -> None:
    assert call("--trials", "2") == 0
    first = rows(tmp_path)
    calls = fake.calls
    assert call("--trials", "2") == 0
    assert fake.calls == calls
    assert call("--trials", "3") == 0
    assert rows(tmp_path)[:2] == first
    assert len(rows(tmp_path)) == 3


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
        ({"goals": ["--maximize", "speed"]}, "got 'speed'"),
        ({"space": ("ratio=0.5",)}, "one must leave a choice"),
        ({"space": ("pruner=glob(*)",)}, "pruner: must list its options"),
        ({"space": ("ratio=interval(1,2)",)}, "ratio: must be a number in [0, 1)"),
        ({"space": ("ratio=interval(",)}, "'interval('"),
        ({"space": ("rati=1,2",)}, "rati"),
    ],
)
def test_what_cannot_run_is_refused(
    call: Any, capsys: pytest.CaptureFixture[str], arguments: Any, message: str
) -> None:
    assert call(**arguments) == 2
    assert message in capsys.readouterr().err


def test_a_folder_holds_one_study(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--trials", "1") == 0
    assert call("--trials", "2", goals=["--maximize", "accept/length"]) == 2
    assert "of the same goals" in capsys.readouterr().err


def test_the_folder_of_a_trial_is_named_by_its_settings() -> None:
    trial = optuna.trial.create_trial(
        params={"gamma": 3, "a/b": 1},
        distributions={name: optuna.distributions.IntDistribution(1, 9) for name in ("gamma", "a/b")},
        value=1.0,
    )
    assert study.name_of(trial) == "a_b=1,gamma=3"


def test_only_the_repository_s_folder_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert study.main([*GOALS, "ratio=0.5,0.9"]) == 2
