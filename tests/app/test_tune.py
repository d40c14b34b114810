"""`vsd tune` in a world whose truth is known: runs are those of the simulator, with times that it is not told of."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from tests.app.conftest import Compose
from vsd.commands import tune
from vsd.commands.in_process import composed
from vsd.commands.tune import search
from vsd.commands.tune.candidate import SCHEDULES, UNPRUNED, Candidate, Pruning
from vsd.commands.tune.prediction import Oracle, early_share
from vsd.metrics import values_of
from vsd.run.app import NothingDone
from vsd.run.provenance import hardware
from vsd.run.report.folder import RunFolder
from vsd.run.schema import SCHEMA
from vsd.simulator.acceptance import ByPosition
from vsd.simulator.rehearsal import Setting, simulate
from vsd.step_times.times import Given

RATES = {("none", 0.0): 0.9, ("hippo", 0.5): 0.9, ("hippo", 0.9): 0.82, ("random", 0.5): 0.7, ("random", 0.9): 0.5}
SMALL = ["--pruners", "hippo,random", "--ratios", "0.5,0.9", "--gammas", "1,3,6,10"]
World = Callable[[Candidate], Setting]


def world(draft: float) -> World:
    """Passes of both models, of which those of the draft take longer where it sees more."""

    def setting(candidate: Candidate) -> Setting:
        (pruner, ratio), schedule, gamma = candidate
        seen = draft * (1.5 - ratio)
        times = Given(target=1.0, draft=seen, prefill=2e-3, draft_prefill=5e-4, encode=1e-3)
        acceptance = ByPosition([RATES[pruner, ratio]])
        usual = Setting(times=times, acceptance=acceptance, visual=800, text=20, tokens=100)
        return replace(usual, parallelism=SCHEDULES[schedule], gamma=gamma, ratio=ratio)

    return setting


class Machine:
    """Runs commands by simulating them; `off` says how much slower parallel schedules are than the simulator knows."""

    def __init__(self, setting: World, off: float = 1.0) -> None:
        self.setting, self.off = setting, off
        self.commands: list[list[str]] = []

    def run(self, overrides: Sequence[str], folder: Path) -> dict[str, float]:
        self.commands.append([*overrides])
        given: Any = OmegaConf.from_dotlist([*overrides])
        pruning = Pruning(given.pruner, given.get("ratio", 0.0))
        records = simulate(self.setting(Candidate(pruning, given.parallelism, given.gamma)), most=given.limit)[
            : given.limit
        ]
        if given.parallelism != "sequential":
            records = [replace(each, trace=self._slower(each.trace)) for each in records]
        run, config = RunFolder(folder, "made"), composed(pruning.overrides)
        told = {"schema": SCHEMA, "time": "2026-01-02T03:04:05", "outcome": "done", "hardware": hardware()}
        run.open(OmegaConf.create({"pruner": OmegaConf.to_container(config.pruner, resolve=True)}), told)
        for record in records:
            run.append(record)
        return {}

    def _slower(self, trace: Any) -> Any:
        decode = trace.seconds["decode"]
        seconds = trace.seconds | {
            "decode": decode * self.off,
            "total": trace.seconds["total"] + decode * (self.off - 1),
        }
        return replace(trace, seconds=seconds)

    def true(self, candidate: Candidate, goal: str) -> float:
        value = values_of(simulate(self.setting(candidate), precision=0.05, most=24))[goal]
        return value / self.off if candidate.schedule != "sequential" else value


@pytest.mark.parametrize(
    ("goal", "draft", "off"), [("speed/decode", 0.05, 1.0), ("speed/end_to_end", 0.25, 2.5)], ids=["fast", "slow"]
)
def test_its_choice_is_within_a_twentieth_of_the_best(
    goal: str,
    draft: float,
    off: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine = Machine(world(draft), off)
    monkeypatch.setattr(search, "run_here", machine.run)
    schedules = ["sequential", "hippo"]
    given = [*SMALL, "--schedules", ",".join(schedules), "--samples", "8", "--goal", goal, "--folder", str(tmp_path)]
    assert tune.main([*given, "target=tiny_llava"]) == 0
    said = capsys.readouterr().out
    words = shlex.split(next(line for line in said.splitlines() if line.strip().startswith("vsd ")))
    assert words[-1] == "target=tiny_llava"
    chosen: Any = OmegaConf.from_dotlist(words[1:])
    choice = Candidate(Pruning(chosen.pruner, chosen.get("ratio", 0.0)), chosen.parallelism, chosen.gamma)
    gammas = (1, 3, 6, 10)
    every = [Candidate(Pruning(*pruning), *rest) for pruning, rest in product(RATES, product(schedules, gammas))]
    best = max(machine.true(candidate, goal) for candidate in every)
    assert machine.true(choice, goal) > 0.95 * best
    assert re.search(r"with \w.*, (not )?told apart from \w", said)
    assert f"best {goal}" in said
    if off == 2.5:
        assert choice.schedule == "sequential"


def test_the_best_is_the_best_of_all_that_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run of a schedule that was to correct its prediction can be it, and its command is one line."""
    machine = Machine(world(0.3))
    monkeypatch.setattr(search, "run_here", machine.run)
    monkeypatch.setattr(Oracle, "predict", lambda self, candidate: 1.0 + candidate.gamma / 100)  # a bad one
    monkeypatch.setenv("COLUMNS", "40")
    given = ["--pruners", "", "--gammas", "5,30", "--schedules", "sequential", "--measure", "1"]
    assert tune.main([*given, "--folder", str(tmp_path), "data=folder", "data.path=/a/long/path/to/my/videos"]) == 0
    said = capsys.readouterr().out
    assert "  vsd pruner=none parallelism=sequential gamma=5 data=folder data.path=/a/long/path/to/my/videos\n" in said
    assert "told apart from none, sequential, gamma 30" in said


def test_a_slow_best_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(search, "run_here", Machine(world(2.0)).run)
    given = ["--pruners", "", "--schedules", "sequential", "--gammas", "2,3", "--samples", "2"]
    assert tune.main([*given, "--folder", str(tmp_path)]) == 0
    assert "the target alone is faster" in capsys.readouterr().out


def test_a_pruner_that_cannot_run_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(world(0.2))

    def run(overrides: Sequence[str], folder: Path) -> dict[str, float]:
        if "pruner=hippo" in overrides:
            raise NothingDone("out of memory")
        return machine.run(overrides, folder)

    monkeypatch.setattr(search, "run_here", run)
    given = ["--pruners", "hippo,random", "--ratios", "0.5", "--schedules", "sequential", "--gammas", "4"]
    assert tune.main([*given, "--samples", "2", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "hippo 0.5 is left out: out of memory" in said
    assert "hippo" not in said.split("predicted and measured")[1]


def test_runs_of_another_machine_are_not_mixed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(search, "run_here", Machine(world(0.2)).run)
    given = ["--pruners", "", "--schedules", "sequential", "--gammas", "4", "--samples", "2", "--folder", str(tmp_path)]
    assert tune.main(given) == 0
    here = hardware()
    monkeypatch.setattr("vsd.run.provenance.hardware", lambda: {**here, "threads": 99})
    assert tune.main(given) == 2
    assert "--folder: must hold runs of this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pruner", "share"), [("none", 0.0), ("uniform", 0.0), ("uv_prune", 0.5), ("specvlm", 1.0), ("hippo", 1.0)]
)
def test_when_a_pruner_has_what_it_needs(pruner: str, share: float) -> None:
    assert early_share(instantiate(composed([f"pruner={pruner}"]).pruner), depth=8) == share


def test_what_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(world(0.25))
    monkeypatch.setattr(search, "run_here", machine.run)
    given = ["--pruners", "hippo", "--ratios", "0.5", "--schedules", "sequential,pearl", "--folder", str(tmp_path)]
    assert tune.main([*given, "data=folder", "data.path=x"]) == 0
    calibrated = [["pruner=none", "gamma=8"], ["pruner=hippo", "gamma=8"], ["pruner=none", "gamma=1"]]
    for command, wanted in zip(machine.commands, calibrated, strict=False):
        assert {"data=folder", "data.path=x", "limit=8", "parallelism=sequential", *wanted} <= set(command)
    likely = machine.commands[3 + 2 :]  # behind an anchor for each schedule
    assert 1 <= len(likely) <= 4
    kinds = [{word for word in command if word.split("=")[0] in ("pruner", "parallelism")} for command in likely]
    assert kinds[0] == kinds[1]  # the best, and a draft of another length


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ratio=0.5"], "OVERRIDE: must be none of baseline, dry_run, gamma, .* got 'ratio=0.5'"),
        (["parallelism.length=fixed"], "OVERRIDE: must be none of .* got 'parallelism.length=fixed'"),
        (["experiment=specvlm"], "drafter: must draft chains by a model for vsd tune, got Tree"),
        (["drafter=prompt_lookup"], "drafter: must draft chains by a model for vsd tune, got PromptLookup"),
        (["--goal", "accept/rate"], "--goal: must be one of speed/decode, speed/end_to_end, got 'accept/rate'"),
        (["--pruners", "huge"], "--pruners: must be a list of attention, .* got 'huge'"),
        (["--ratios", "1"], r"--ratios: must be numbers in \(0, 1\), got '1'"),
        (["--schedules", "later"], "--schedules: must be a list of sequential, .* got 'later'"),
        (["--gammas", "0"], "--gammas: must be whole numbers, at least 1, .* got '0'"),
        (["--samples", "0"], "--samples: must be a whole number, at least 1, got 0"),
    ],
)
def test_refusals(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune.main([*arguments, "--folder", str(tmp_path / "new")]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "new").exists()


def test_schedules_are_those_of_the_yamls(configure: Compose) -> None:
    """Their fields too: what is predicted is what a run with parallelism=NAME does."""
    for name, schedule in SCHEDULES.items():
        assert instantiate(configure(f"parallelism={name}").parallelism) == schedule
    assert UNPRUNED.overrides == ["pruner=none"]
