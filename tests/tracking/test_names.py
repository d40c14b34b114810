"""What a run is called, grouped by, tagged with, and configured as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.results.made import a_run
from vsd.run.tracking.names import flat_config, group, job_type, run_id, tags, title

CHOICES = {"target": "tiny_qwen", "draft": "tiny_qwen", "pruner": "hippo", "parallelism": "sequential"}


def made(*overrides: str, ratio: float = 0.9, **choices: str) -> Any:
    return a_run([], config={"ratio": ratio}, choices={**CHOICES, **choices}, overrides=overrides)


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (made("pruner=hippo", "ratio=0.9", "limit=32", "logger=wandb", "out=/x"), "hippo 0.9 · tiny_qwen"),
        (made(), "hippo 0.9 · tiny_qwen"),
        (made("gamma=7", "verifier.looseness=0.3"), "hippo 0.9 gamma 7 looseness 0.3 · tiny_qwen"),
        (made("experiment=lvspec", experiment="lvspec"), "lvspec 0.9 · tiny_qwen"),
        (made("experiment=lvspec", "pruner=hippo", experiment="lvspec"), "lvspec 0.9 hippo · tiny_qwen"),
        (made("pruner=none", pruner="none", experiment="None"), "none · tiny_qwen"),
        (made("parallelism=autoregressive", parallelism="autoregressive"), "autoregressive · tiny_qwen"),
        (made("parallelism=pearl", "executor=thread", parallelism="pearl"), "hippo 0.9 pearl thread · tiny_qwen"),
        (made("draft=self", "data=folder"), "hippo 0.9 draft self data folder · tiny_qwen"),
        (made("data.path=/a/b/clips/", "~callbacks.progress"), "hippo 0.9 path clips · tiny_qwen"),
        (made("pruner.weight_global=0"), "hippo 0.9 weight_global 0 · tiny_qwen"),
        (made("data.question=\udcff"), "hippo 0.9 question \\udcff · tiny_qwen"),
    ],
)
def test_a_name_says_what_was_set(run: Any, name: str) -> None:
    assert title(run) == name


def test_a_name_is_not_too_long() -> None:
    assert len(title(made(f"data.question={'why ' * 99}"))) == 120


def test_a_job_of_a_sweep_is_in_its_group(tmp_path: Path) -> None:
    folder = tmp_path / "2026-01-02" / "03-04-05-abcdef" / "7"
    folder.mkdir(parents=True)
    assert group(a_run([], folder=folder)) is None
    (folder.parent / "multirun.yaml").touch()
    assert group(a_run([], folder=folder)) == "2026-01-02/03-04-05-abcdef"


def test_the_job_type_is_the_experiment() -> None:
    assert job_type(made(experiment="lvspec")) == "lvspec"
    assert job_type(made(experiment="None")) is None


def test_tags_are_the_methods_each_once() -> None:
    chosen = {
        "pruner": "hippo",
        "drafter": "chain",
        "verifier": "greedy",
        "parallelism": "hippo",
        "executor": "process",
    }
    assert tags(a_run([], choices=chosen)) == ["hippo", "chain", "greedy", "process"]


def test_the_config_is_flat() -> None:
    config = {
        "ratio": 0.9,
        "limit": 4,
        "out": "/x",
        "pruner": {"_target_": "a.Hippo", "ratio": 0.9, "crop": 3, "deep": {"_target_": "a.B", "er": None}},
        "parallelism": {"_target_": "a.Parallel", "crop": True},
        "target": {"_target_": "a.load", "path": "/m\udcff", "ratio": 0.5},
        "logger": {"project": "vsd"},
        "hydra": {"a": 1},
    }
    choices = {"pruner": "hippo", "parallelism": "hippo", "target": "tiny_qwen", "experiment": "hippo"}
    told = {"git": {"commit": "abc", "dirty": False}, "packages": {"torch": "2"}, "hardware": None}
    run = a_run([], config=config, choices=choices, provenance=told, folder=Path("/x"))
    assert flat_config(run) == {
        "ratio": 0.9,
        "limit": 4,
        "pruner": "hippo",
        "hippo.crop": 3,
        "hippo.deep.er": None,
        "parallelism": "hippo",
        "parallelism.crop": True,  # where two methods of one name have a field of one name
        "target": "tiny_qwen",
        "target.path": "/m\\udcff",
        "target.ratio": 0.5,
        "experiment": "hippo",
        "provenance.commit": "abc",
        "provenance.changed": False,
        "provenance.torch": "2",
        "provenance.folder": "/x",
    }


def job(name: str, config: str | None = "c", shard: str = "0/1", **more: str) -> dict[str, Any]:
    return {"job": name, "shard": shard, **({"config": config} if config else {}), **more}


@pytest.mark.parametrize(
    ("jobs", "shard", "wanted"),
    [
        ([job("a")], "0/1", "a"),
        ([job("a"), job("b")], "0/1", "a"),  # b goes on with what a has begun
        ([job("a"), job("b", "other")], "0/1", "b"),
        ([job("refused", None), job("b"), job("refused too", None)], "0/1", "b"),
        ([job("a", wandb="by-agent"), job("b")], "0/1", "by-agent"),
        ([job("a", shard="0/2"), job("b", shard="1/2"), job("c", shard="1/2")], "1/2", "b"),
    ],
)
def test_a_run_keeps_its_id(jobs: list[dict[str, Any]], shard: str, wanted: str) -> None:
    told = {**jobs[-1], "earlier": jobs[:-1]}
    assert run_id(a_run([], config={"shard": shard}, provenance=told)) == wanted


def test_shards_together_are_a_run_of_their_own() -> None:
    jobs = [job("a", shard="0/2"), job("b", shard="1/2")]
    first, again = (
        run_id(a_run([], config={"shard": "0/1"}, provenance={**last, "earlier": earlier}))
        for last, earlier in ((jobs[1], jobs[:1]), (job("d", shard="0/2"), jobs))
    )
    assert first == again
    assert first not in "ab"
