"""The bundled models are real checkpoints, small enough to commit, that see what they are shown and speculate.

How good they are is measured on all clips by `python -m vsd.zoo.training --stage evaluate`. Here are few facts, so the
bounds are some two standard errors wider than what is asked of all.
"""

import pytest
from safetensors import safe_open

from vsd.data.small_events import SmallEvents
from vsd.engine import Engine
from vsd.models import check_pair, inspect, load
from vsd.pruners.hippo import Hippo
from vsd.video import read
from vsd.zoo import FAMILIES, WEIGHTS
from vsd.zoo.training import FAMILIES as RECIPES
from vsd.zoo.training.evaluate import Numbers, evaluate
from vsd.zoo.training.models import DRAFTS, ROLES

Report = dict[str, dict[str, Numbers]]
both = pytest.mark.parametrize("family", FAMILIES)


def test_the_families_are_those_of_the_recipe() -> None:
    assert set(FAMILIES) == set(RECIPES) == {folder.name for folder in WEIGHTS.iterdir()}
    assert {folder.name for folder in WEIGHTS.glob("*/*")} == set(ROLES)


def test_they_are_small_enough_to_commit() -> None:
    files = [file for file in WEIGHTS.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 26e6
    assert {file.suffix for file in files if file.stat().st_size > 100e3} == {".safetensors"}


@both
@pytest.mark.parametrize("role", ROLES)
def test_weights_are_stored_in_bfloat16(family: str, role: str) -> None:
    with safe_open(WEIGHTS / family / role / "model.safetensors", framework="pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"BF16"}  # noqa: SIM118 - no mapping


@both
def test_a_target_and_its_other_draft_see_alike(family: str) -> None:
    """Bit by bit the same tower; that of `near` is its own, and smaller."""
    models = {role: load(f"zoo:{family}/{role}") for role in ROLES}
    towers = {role: RECIPES[family].tower(model.model).state_dict() for role, model in models.items()}
    assert towers["other"].keys() == towers["target"].keys()
    assert all(value.equal(towers["other"][name]) for name, value in towers["target"].items())
    sizes = {role: sum(value.numel() for value in tower.values()) for role, tower in towers.items()}
    assert sizes["near"] < sizes["target"] / 2
    assert {model.rope for model in models.values()} == {"trained"}


@pytest.fixture(scope="module", params=FAMILIES)
def report(request: pytest.FixtureRequest) -> Report:
    """Of two clips of each length, asked for one event, in full prompts, from the mp4."""
    return evaluate(WEIGHTS / request.param, ask="one", most=2)


def mean(report: Report, model: str, name: str) -> float:
    return sum(models[model][name] for models in report.values()) / len(report)


def test_targets_say_what_they_see_at_each_length(report: Report) -> None:
    assert set(report) == {"32", "64", "96"}
    assert all(models["target"]["facts"] >= 0.9 for models in report.values())
    assert mean(report, "target", "facts") >= 0.95


def test_without_a_video_facts_are_right_by_chance_at_most(report: Report) -> None:
    """Below it where the answer falls apart."""
    assert mean(report, "noise", "facts") < mean(report, "chance", "facts") + 0.1


@pytest.mark.parametrize("draft", DRAFTS)
def test_drafts_foresee_most_of_their_targets_tokens_and_not_all(report: Report, draft: str) -> None:
    assert mean(report, draft, "facts") >= 0.8
    assert 0.7 <= mean(report, draft, "foreseen") <= 0.97


def test_other_drafts_differ_in_wording_too(report: Report) -> None:
    drafts = [models["other"] for models in report.values()]
    misses = sum(draft["misses"] for draft in drafts)
    assert misses > 12
    assert sum(draft["wording"] * draft["misses"] for draft in drafts) >= 0.4 * misses


@both
def test_a_pair_describes_a_clip_in_the_targets_words_and_fewer_passes(family: str) -> None:
    paths = [f"zoo:{family}/{role}" for role in ROLES]
    infos = [inspect(path) for path in paths]
    for draft in infos[1:]:
        check_pair(infos[0], draft)
    target, near = (load(path, dtype="float64") for path in paths[:2])
    engine = Engine(target=target, draft=near, pruner=Hippo(ratio=0.9))
    sample = SmallEvents().samples()[1]
    video = read(sample.video, 64)
    trace = engine.run(video, sample.question)
    assert trace.tokens == engine.baseline().run(video, sample.question).tokens
    assert trace.kept == trace.visual // 10
    assert trace.finish == "eos"
    assert len(trace.tokens) / trace.target_forwards > 2  # two tokens a target pass: the draft has learnt its part
