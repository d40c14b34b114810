"""Sweeps: one for each question, in three forms of the same values. As a W&B sweep each is in the form that wandb's own
schema asks for; what its agent would run composes and decodes."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from vsd.commands.in_process import composed, run_here
from vsd.commands.study import space
from vsd.metrics import metric_of
from vsd.run.help_text import first_sentence
from vsd.run.results.cells import written
from vsd.run.swept import asked, left

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = {
    f"{kind}/{file.stem}": file
    for kind in ("ablation", "sweep")
    for file in sorted((ROOT / "conf" / "experiment" / kind).glob("*.yaml"))
}
FILES = {name: ROOT / "sweeps" / f"{name.removeprefix('sweep/').replace('/', '_')}.yaml" for name in EXPERIMENTS}
QUICK = ("executor=thread", "limit=2", "callbacks=quiet")
SHORT = ("frames=4", "max_new_tokens=8")  # whose answers are wrong
each = pytest.mark.parametrize("name", EXPERIMENTS)


def loaded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILES[name].read_text())
    return found


def params(name: str) -> dict[str, str]:
    return dict(composed([f"experiment={name}"], hydra=True).hydra.sweeper.params)


def values(name: str) -> dict[str, list[str]]:
    """Of each dial, as the command line has them."""
    parsed = OverridesParser.create().parse_overrides(asked(params(name), []))
    return {override.get_key_element(): [written(value) for value in override.sweep_iterator()] for override in parsed}


def agent(name: str, chosen: Sequence[str]) -> list[str]:
    """The overrides that an agent of the W&B sweep runs with, but for the logger."""
    fixed = [part for part in loaded(name)["command"] if not part.startswith("${")]
    assert fixed == [f"experiment={name}", "logger=wandb"]
    return [fixed[0], *(f"{dial}={value}" for dial, value in zip(values(name), chosen, strict=True))]


def test_there_is_a_file_for_each() -> None:
    assert sorted((ROOT / "sweeps").iterdir()) == sorted(FILES.values())
    assert len(FILES) == 8


@each
def test_wandb_accepts_the_form(name: str) -> None:
    config = pytest.importorskip("sweeps.config", reason="comes with wandb[sweeps]")
    assert config.schema_violations_from_proposed_config(loaded(name)) == []
    assert (ROOT / loaded(name)["program"]).is_file()


@each
def test_all_forms_have_the_same_values(name: str) -> None:
    wandb = {dial: [str(value) for value in of["values"]] for dial, of in loaded(name)["parameters"].items()}
    assert wandb == values(name)
    grid = space.grid(space.searched(space.with_experiment([f"experiment={name}", "limit=2"])))
    assert grid is not None
    searched = {tuple(str(value).lower() for value in setting.values()) for setting in grid}
    assert searched == set(itertools.product(*wandb.values()))


@each
def test_what_ranks_by_speed_measures_in_the_run(name: str) -> None:
    metric, goal = metric_of(loaded(name)["metric"]["name"]), loaded(name)["metric"]["goal"]
    assert metric is not None
    assert goal == {"higher": "maximize", "lower": "minimize"}[metric.better]
    timed = metric.name.startswith("speed/")
    assert composed([f"experiment={name}"]).baseline == (True if timed else "cache")


@each
def test_each_is_said_to_be_there(name: str) -> None:
    page = (ROOT / "docs" / "sweeps.md").read_text()
    question = first_sentence(EXPERIMENTS[name]).partition("?")[0] + "?"
    row = next(line for line in page.splitlines() if f"experiment={name}`" in line)
    assert question in row
    assert f"sweeps/{FILES[name].name}" in row
    head = FILES[name].read_text().splitlines()[:3]
    assert head[0] == f"# {question}"
    assert f"sweeps/{FILES[name].name}" in head[1]
    assert head[2].endswith(f"vsd -m experiment={name}")


@each
def test_what_an_agent_would_run_composes(name: str) -> None:
    for chosen in set(settings(name)) - set(few(name)):  # the others are decoded
        composed(agent(name, chosen))


def settings(name: str) -> list[tuple[str, ...]]:
    """Every value of every dial at least once."""
    columns = list(values(name).values())
    longest = max(map(len, columns))
    return [tuple(column[place % len(column)] for column in columns) for place in range(longest)]


def few(name: str) -> list[tuple[str, ...]]:
    """Of an ablation all, of a grid its two ends: what stands between them is decoded by other tests."""
    every = settings(name)
    return every if name.startswith("ablation/") else [every[0], every[-1]]


RUNS = [(name, chosen) for name in EXPERIMENTS for chosen in few(name)]
ids = [" ".join((name, *chosen)) for name, chosen in RUNS]


@pytest.mark.parametrize(("name", "chosen"), RUNS, ids=ids)
def test_what_an_agent_would_run_decodes(name: str, chosen: tuple[str, ...], tmp_path: Path) -> None:
    metric = loaded(name)["metric"]["name"]
    quick = [*QUICK, *(() if metric.startswith("quality/") else SHORT), f"baseline_folder={tmp_path / 'baselines'}"]
    done = run_here([*agent(name, chosen), *quick], tmp_path / "run")
    assert (done["samples/done"], done["samples/failed"]) == (2, 0)
    assert metric in done
    assert name in ("ablation/lvspec", "sweep/looseness") or done["exact/mismatched"] == 0


@pytest.mark.slow
@each
def test_all_that_an_agent_would_run_decodes(name: str, tmp_path: Path) -> None:
    for chosen in itertools.product(*values(name).values()):
        test_what_an_agent_would_run_decodes(name, chosen, tmp_path)
        shutil.rmtree(tmp_path / "run")


def test_the_command_line_beats_an_experiment() -> None:
    given = {"ratio": "0.5,0.9", "pruner": "hippo,random"}
    assert asked(given, ["ratio=0.8", "limit=2"]) == ["pruner=hippo,random", "ratio=0.8", "limit=2"]
    assert left(given, ["++ratio=0.8"]) == {"pruner": "hippo,random"}
    assert asked(None, ["ratio=0.8"]) == ["ratio=0.8"]


def test_what_is_left_out_is_the_same_method_otherwise() -> None:
    whole, other = composed(["experiment=ablation/specvlm", "out=x"]), composed(["experiment=specvlm", "out=x"])
    assert whole == other
    tree = composed(["experiment=ablation/specvlm", "without=tree"])
    assert (tree.without, tree.drafter._target_) == ("tree", "vsd.drafters.chain.Chain")
    assert tree.pruner == whole.pruner
    part = composed(["experiment=hippo", "without=change_score", "ratio=0.5"])
    assert (part.pruner.weight_temporal, part.pruner.weight_global, part.pruner.ratio) == (0, 1.0, 0.5)


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name.startswith("ablation/")])
def test_an_ablation_leaves_out_every_part_of_its_method(name: str) -> None:
    parts = [str(part) for part in composed([f"experiment={name}"]).parts]
    assert values(name) == {"without": ["nothing", *parts]}


@pytest.mark.parametrize("option", [file.stem for file in sorted((ROOT / "conf" / "without").glob("*.yaml"))])
def test_a_part_is_called_as_its_option(option: str) -> None:
    assert composed([f"without={option}"]).without == option
