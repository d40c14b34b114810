"""A method is the same in Python and in YAML: every value of every file of conf/ is its class's default."""

from __future__ import annotations

import dataclasses
import inspect
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

import vsd.parallelism
from vsd.executors import Thread

CONF = Path(__file__).resolve().parent.parent / "conf"
OF_ALL = ("experiment", "hydra", "without")  # which change more than one group
GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name not in OF_ALL)
OPTIONS = [(group, file.stem) for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]
METHODS = {"pruner", "drafter", "verifier", "parallelism", "executor", "data"}
INSTANCES = ("hippo", "parallelvlm")
"""Schedules that are other settings of a class: what Python has in place of its defaults."""
# Not in the YAML, and why: there is nothing to remove.
LEFT_OUT = {("vsd.pruners.none.NoPruner", "ratio")}


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["out=here", *overrides])


def targets(node: Any) -> Iterator[DictConfig]:
    """Everything of this project that a config makes, at any depth."""
    if not isinstance(node, DictConfig):
        return
    if str(node.get("_target_")).startswith("vsd."):
        yield node
    for key in node:
        if not OmegaConf.is_missing(node, key):
            yield from targets(node[key])


def plain(value: Any) -> Any:
    """The value as Python has it; a list as a tuple."""
    value = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return tuple(value) if isinstance(value, list) else value


def differences(node: DictConfig) -> list[tuple[str, Any, Any]]:
    """Name, YAML's value (a dial's, where the file refers to one) and the default of everything that differs."""
    parameters = inspect.signature(get_object(node._target_)).parameters
    given = [str(key) for key in node if key != "_target_" and not OmegaConf.is_missing(node, key)]
    assert set(given) <= set(parameters), f"{node._target_} does not know all of {given}"
    found = []
    for name in given:
        default = parameters[name].default
        if default is inspect.Parameter.empty:
            continue
        if plain(node[name]) != plain(default):
            found.append((name, plain(node[name]), default))
    return found


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_a_yaml_says_what_its_class_does(group: str, option: str) -> None:
    cfg = composed(f"{group}={option}")
    if option in INSTANCES and group == "parallelism":
        assert instantiate(cfg.parallelism) == getattr(vsd.parallelism, option.upper())
        cfg.parallelism = {}
    for node in targets(cfg):
        assert not differences(node), node._target_


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "parallelism"])
def test_a_schedule_works_where_its_yaml_says(option: str) -> None:
    cfg = composed(f"parallelism={option}")
    assert instantiate(cfg.executor) == instantiate(cfg.parallelism).default_executor()
    chosen = composed("executor=thread", f"parallelism={option}")
    assert instantiate(chosen.executor) == Thread()


@pytest.mark.parametrize(("group", "option"), [each for each in OPTIONS if each[0] in METHODS])
def test_a_yaml_shows_every_field(group: str, option: str) -> None:
    node = composed(f"{group}={option}")[group]
    fields = set(inspect.signature(get_object(node._target_)).parameters)
    missing = {(node._target_, name) for name in fields - {str(key) for key in node}}
    assert missing <= LEFT_OUT


@pytest.mark.parametrize(("group", "option"), [each for each in OPTIONS if each[0] in METHODS - {"data"}])
def test_a_method_is_config_and_nothing_else(group: str, option: str) -> None:
    given = ["executor.profile=h100"] if option == "simulated" else []
    method = instantiate(composed(f"{group}={option}", *given)[group])
    assert method.__dataclass_params__.frozen
    assert all(field.init for field in dataclasses.fields(method)), "state that is no config"
    assert not any(isinstance(value, list | dict | set | deque) for value in vars(method).values())


def test_what_stands_in_the_dials_themselves() -> None:
    cfg = composed()
    found = list(targets(cfg.relevance))
    assert [node._target_ for node in found] == ["vsd.evidence.relevance.Relevance"]
    assert not differences(found[0])
    from vsd.engine import Engine

    parameters = inspect.signature(Engine.__init__).parameters
    for dial in ("gamma", "max_new_tokens", "positions"):
        assert cfg[dial] == parameters[dial].default


@pytest.mark.parametrize(("option", "family"), [("tiny_qwen", "qwen2_5_vl"), ("tiny_llava", "llava_onevision")])
def test_bundled_models_are_asked_as_they_were_taught(option: str, family: str) -> None:
    near, other = composed(f"target={option}"), composed(f"target={option}", f"draft={option}_other")
    assert near.target == other.target
    assert [cfg.path for cfg in (near.target, near.draft, other.draft)] == [
        f"zoo:{family}/{role}" for role in ("target", "near", "other")
    ]
    assert {cfg.rope for cfg in (near.target, near.draft, other.draft)} == {"trained"}


def test_a_target_that_drafts_for_itself_is_one_model() -> None:
    cfg = composed("draft=self", "target.dtype=float64", "target.max_pixels=6272", "target.rope=trained")
    assert cfg.draft == cfg.target


def test_a_difference_is_found() -> None:
    node = OmegaConf.create({"_target_": "vsd.verifiers.fly.FLy", "entropy": 0.3, "window": 5})
    assert differences(node) == [("window", 5, 6)]
