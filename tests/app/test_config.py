"""What the groups compose to."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from tests.app.conftest import ROOT, Compose
from vsd.run import help_text
from vsd.run.cluster import plugin


def options(group: str) -> list[str]:
    return [name for name, _ in help_text.options(ROOT / "conf" / group)]


def test_defaults(configure: Compose) -> None:
    cfg = configure()
    dials = {key: cfg[key] for key in ("ratio", "gamma", "frames", "temperature", "max_new_tokens", "limit", "shard")}
    assert dials == {
        "ratio": 0.9,
        "gamma": 5,
        "frames": 64,
        "temperature": 0,
        "max_new_tokens": 128,
        "limit": None,
        "shard": "0/1",
    }
    assert (cfg.target.path, cfg.draft.path) == ("zoo:qwen2_5_vl/target", "zoo:qwen2_5_vl/near")


@pytest.mark.parametrize(
    ("overrides", "draft"),
    [
        (["target=tiny_llava"], "zoo:llava_onevision/near"),
        (["target=qwen2_5_vl_32b"], "Qwen/Qwen2.5-VL-7B-Instruct"),
        (["target=llava_ov_72b"], "llava-hf/llava-onevision-qwen2-7b-ov-hf"),
        (["target=tiny_llava", "draft=tiny_llava_other"], "zoo:llava_onevision/other"),
        (["target=tiny_llava", "draft=self"], "zoo:llava_onevision/target"),
        (["draft=none"], None),
        (["target=qwen2_5_vl_72b", "draft=qwen2_5_vl_3b"], "Qwen/Qwen2.5-VL-3B-Instruct"),
    ],
)
def test_the_draft_follows_the_target_unless_told(overrides: list[str], draft: str | None, configure: Compose) -> None:
    assert configure(*overrides).draft.path == draft


def test_a_target_that_drafts_for_itself_lies_where_it_lies(configure: Compose) -> None:
    cfg = configure("target=qwen2_5_vl_72b", "draft=self", "target.device_map=auto")
    assert cfg.draft == cfg.target


@pytest.mark.parametrize("target", options("target"))
def test_every_target_names_a_draft(target: str, configure: Compose) -> None:
    assert configure(f"target={target}").draft.path


def test_every_option_of_every_group_composes(configure: Compose) -> None:
    groups = [path.name for path in (ROOT / "conf").iterdir() if path.is_dir() and path.name not in ("hydra", "target")]
    for group in groups:
        for option in options(group):
            assert group == "experiment" or group in configure(f"{group}={option}"), (group, option)


def test_an_experiment_beats_the_defaults_and_a_dial_beats_it(configure: Compose) -> None:
    assert configure("experiment=hippo").pruner._target_ == "vsd.pruners.hippo.Hippo"
    assert configure("experiment=specvlm", "ratio=0.5").pruner.ratio == 0.5
    assert configure("experiment=specvlm", "pruner=none").pruner._target_ == "vsd.pruners.none.NoPruner"


@pytest.mark.parametrize(
    ("overrides", "executor"),
    [
        ([], "inline.Inline"),
        (["parallelism=pearl"], "process.Process"),
        (["experiment=hippo"], "process.Process"),
        (["experiment=specvlm"], "inline.Inline"),
        (["experiment=hippo", "executor=thread"], "thread.Thread"),
        (["executor=inline", "parallelism=parallelvlm"], "inline.Inline"),
        (["executor=process"], "process.Process"),
    ],
)
def test_a_schedule_brings_its_executor_unless_told(overrides: list[str], executor: str, configure: Compose) -> None:
    assert configure(*overrides).executor._target_ == f"vsd.executors.{executor}"


def test_a_pruner_reads_the_ratio_dial(configure: Compose) -> None:
    assert configure("pruner=uniform", "ratio=0.25").pruner.ratio == 0.25


@pytest.mark.parametrize(
    ("outer", "inner", "target"),
    [
        ("verifier=exact_prefix", "verifier@verifier.inner=fly", "vsd.verifiers.fly.FLy"),
        ("drafter=relevance_cut", "drafter@drafter.inner=tree", "vsd.drafters.tree.Tree"),
        ("drafter=viskip", "drafter@drafter.inner=tree", "vsd.drafters.tree.Tree"),
        ("drafter=adaptive", "drafter@drafter.inner=prompt_lookup", "vsd.drafters.prompt_lookup.PromptLookup"),
    ],
)
def test_what_stands_inside_can_be_chosen(outer: str, inner: str, target: str, configure: Compose) -> None:
    group = outer.partition("=")[0]
    assert configure(outer, inner)[group].inner._target_ == target


@pytest.mark.parametrize("launcher", sorted({*options("hydra/launcher")} - {"ray"}))
def test_every_launcher_takes_its_settings(launcher: str) -> None:
    plugin.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=[f"hydra/launcher={launcher}"], return_hydra_config=True)
    assert instantiate(cfg.hydra.launcher).params["timeout_min"] == 1440
