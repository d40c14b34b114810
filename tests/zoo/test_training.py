"""The recipe: models learn from what they will see when they are asked, and a stopped run loses nothing."""

import json
import multiprocessing
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vsd.models import load
from vsd.models.base import VideoLM
from vsd.models.llava_onevision import LlavaOneVision
from vsd.models.qwen2_5_vl import Qwen25VL, mrope_positions
from vsd.types import Grid, Video
from vsd.zoo.small_events.asking import FACT_WORDS, corpus
from vsd.zoo.small_events.drawing import cell_labels, render, tokens_of
from vsd.zoo.small_events.habits import OTHER, TARGET, Habit, answer
from vsd.zoo.small_events.questions import ask, kinds_of
from vsd.zoo.small_events.world import FPS, LOOKS, Scene, scene
from vsd.zoo.training import FAMILIES, tower
from vsd.zoo.training.__main__ import main
from vsd.zoo.training.batches import Batches, Row, choose
from vsd.zoo.training.evaluate import FACT, RIGHT, WORDING, compare, evaluate, table
from vsd.zoo.training.export import export
from vsd.zoo.training.family import CELLS, Family, Size
from vsd.zoo.training.lessons import AT_ONCE, LESSONS, lesson_at
from vsd.zoo.training.mimic import MimicStage
from vsd.zoo.training.models import ROLES, SIZES, build, processor_of, stored_bytes
from vsd.zoo.training.prompts import IGNORED, Prompter
from vsd.zoo.training.run import Budget, Run, Stage, StateError, _Steps, rate
from vsd.zoo.training.sights import draw_sights
from vsd.zoo.training.speaking import SpeakingStage
from vsd.zoo.training.stages import Training
from vsd.zoo.training.statements import OPTIONS, statements
from vsd.zoo.training.store import Store
from vsd.zoo.training.words import Facts

ADAPTERS: dict[str, type[VideoLM]] = {"qwen2_5_vl": Qwen25VL, "llava_onevision": LlavaOneVision}
TINY = Size(layers=2, width=32, vision_layers=1, vision_width=32)
both = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def awake(model: Any) -> Any:
    """As trained ones are: freshly made, models hardly look at what stands where."""
    for weight in model.parameters():
        weight.data.mul_(5.0 if weight.ndim > 1 else 1.0)
    return model.eval()


def video_of(drawn: Scene) -> Video:
    pixels = render(drawn, range(drawn.frames))
    return Video(frames=pixels, timestamps=np.arange(drawn.frames) / FPS)


def patches_of(family: Family, drawn: Scene) -> Tensor:
    pixels_FHWC = torch.from_numpy(render(drawn, range(drawn.frames)))
    return pixels_FHWC.view(-1, family.frames_per_token, *pixels_FHWC.shape[1:])


def test_the_six_models_are_small_enough_to_commit() -> None:
    models = [build(family, SIZES[role]) for family in FAMILIES.values() for role in ROLES]
    assert sum(stored_bytes(model) for model in models) < 26e6


@both
def test_features_of_many_patches_at_once_are_the_librarys(family: Family) -> None:
    model = awake(build(family, SIZES["target"]))
    drawn = scene(1, shots=2)
    adapter = ADAPTERS[family.name](model, processor_of(family), name="target")
    with torch.no_grad():
        seen = family.see(model, patches_of(family, drawn))
    library = adapter.encode(video_of(drawn), "?").features_VD
    assert seen.shape == (family.grid(drawn.frames).t, CELLS, 128)
    spread = float(library.std(0).mean())
    torch.testing.assert_close(seen.flatten(0, 1) / spread, library / spread, rtol=0, atol=1e-4)


@both
@pytest.mark.parametrize("frames", [32, 64, 96])
def test_a_row_has_the_positions_of_the_engines_pruned_prompt(family: Family, frames: int) -> None:
    model = build(family, TINY)
    store = Store(family, model, first=1)
    store.advance(0)
    clip = next(clip for group in store._groups for clip in group if clip.scene.frames == frames)
    prompter = Prompter(processor_of(family))
    batches = Batches(family, prompter, store, behind=len(family.closing(model)))
    rng = np.random.default_rng(0)
    question = ask(clip.scene, "one", rng)
    row = Row(clip, question, answer(question), choose(clip, question, 16, rng))
    positions_PT = batches.of([row]).positions_BPT[0]

    adapter = ADAPTERS[family.name](model, processor_of(family), name="tiny", rope="trained")
    prompt = adapter.encode(video_of(clip.scene), question.text).keep(torch.from_numpy(row.kept_K))
    assert positions_PT[:, : prompt.length].equal(prompt.positions_PT)
    assert int(positions_PT[0, prompt.length]) == prompt.next_position
    if family.name == "qwen2_5_vl":
        before = len(prompter.before)
        behind = prompt.length - before - 16
        whole = mrope_positions(before, Grid(frames // 2, 5, 5), behind, seconds=2 / FPS, tokens_per_second=4)
        kept = [*range(before), *(before + row.kept_K), *range(before + clip.tokens, whole.shape[1])]
        assert prompt.positions_PT.equal(whole[:, kept])


@both
@pytest.mark.parametrize("kept", [24, None])
def test_training_sees_what_the_engine_sees(family: Family, kept: int | None) -> None:
    """The loss is that of the answer's tokens in the engine, with these weights, on this prompt."""
    model = awake(build(family, TINY))
    store = Store(family, model, first=1)
    stage = SpeakingStage(family, model, peak=1e-3, heads=(), store=store)
    stage._weight_W[:] = 1.0
    store.advance(0)
    clip, rng = store._groups[0][1], np.random.default_rng(1)
    question = ask(clip.scene, "two", rng)
    chosen = np.arange(clip.tokens) if kept is None else choose(clip, question, kept, rng)
    text = answer(question, OTHER, rng)
    batch = stage._batches.of([Row(clip, question, text, chosen)])
    # the very features of the store, which have grain and half precision
    adapter = ADAPTERS[family.name](model, processor_of(family), name="tiny")
    prompt = adapter.encode(video_of(clip.scene), question.text)
    embeds_TD = prompt.embeds_TD.clone()
    embeds_TD[prompt.visual_V] = clip.features(np.arange(clip.tokens))
    prompt = replace(prompt, embeds_TD=embeds_TD).keep(torch.from_numpy(chosen))
    tokenizer = adapter.processor.tokenizer
    tokens = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
    state, first_W = adapter.prefill(prompt, capacity=prompt.length + len(tokens))
    logits = adapter.forward(torch.tensor(tokens[:-1]), range(-1, len(tokens) - 2), state).logits_MW
    engine = cross_entropy(torch.cat([first_W[None], logits]), torch.tensor(tokens))
    with torch.no_grad():
        taught = stage.loss(batch)[0]
    torch.testing.assert_close(taught, engine, rtol=1e-4, atol=1e-4)


@both
def test_labels_are_the_answer_and_padding_is_not_learnt(family: Family) -> None:
    store = Store(family, build(family, TINY), first=2)
    store.advance(0)
    prompter = Prompter(processor_of(family))
    batches = Batches(family, prompter, store, behind=0, tokens=2250)
    rng = np.random.default_rng(3)
    rows = [batches._row(store.draw(rng), 32, LESSONS[-1], rng) for _ in range(12)]
    batch = batches.of(rows)
    for row, ids, labels in zip(rows, batch.text_BS, batch.labels_BS, strict=True):
        told = labels[labels != IGNORED]
        assert prompter.tokenizer.decode(told, skip_special_tokens=True) == row.answer
        assert told[-1] == prompter.tokenizer.eos_token_id
        asked = prompter.tokenizer.decode(ids[: int((labels != IGNORED).int().argmax()) + 1])
        assert asked == prompter._turn(row.question.text)[1]
    assert batch.stated_BSF.shape == (*batch.text_BS.shape, len(OPTIONS))


@both
def test_what_is_kept_holds_what_is_asked_for_and_every_shot(family: Family) -> None:
    store = Store(family, build(family, TINY), first=6)
    store.advance(0)
    rng = np.random.default_rng(0)
    for clip in [clip for group in store._groups for clip in group]:
        each = clip.tokens // len(clip.scene.shots)
        for kind in kinds_of(clip.scene):
            question = ask(clip.scene, kind, rng)
            kept = choose(clip, question, 64, rng)
            assert len(kept) == 64
            assert (np.diff(kept) > 0).all()
            assert {int(token) // each for token in kept} == set(range(len(clip.scene.shots)))
            wanted = tokens_of(question.shown, family.frames_per_token)
            if len(wanted) <= 64 - len(clip.scene.shots):
                assert set(wanted) <= set(kept.tolist())
        few = choose(clip, question, 16, rng, unseen=True)
        assert len(set(few.tolist())) == 16


@both
def test_a_store_has_the_features_of_whole_clips(family: Family) -> None:
    """Of empty patches of a shot one is computed; what is in a cell at a time is what the labels say."""
    model = awake(build(family, TINY))
    store = Store(family, model, first=1, most=2)
    store.advance(6)
    (clip, *_) = store._groups[-1]
    whole = clip.features(np.arange(clip.tokens)).unflatten(0, (-1, CELLS))
    with torch.no_grad():
        seen = family.see(model, patches_of(family, clip.scene))
    grain = (whole - seen).square().mean() / seen.square().mean()
    other = (whole.roll(7, 0) - seen).square().mean() / seen.square().mean()
    assert grain < 0.2 * other
    times = np.arange(family.grid(clip.scene.frames).t)
    events = cell_labels(clip.scene, times, family.frames_per_token).event_TGG
    np.testing.assert_array_equal(clip.event_V, events.ravel())
    assert len(clip.features_PCD) < len(times)
    again = Store(family, model, first=1, most=2)
    again.advance(2)
    again.advance(6)
    assert len(again._groups) == len(store._groups) == 2
    assert again._groups[0][2].features_PCD.equal(store._groups[0][2].features_PCD)


@both
def test_what_is_seen_does_not_depend_on_the_precision_of_a_step(family: Family) -> None:
    model = awake(build(family, TINY))
    plain, within = (Store(family, model, first=1, most=2) for _ in range(2))
    plain.advance(0)
    with torch.autocast("cpu", torch.bfloat16):
        within.advance(0)
    for ours, theirs in zip(plain._groups[0], within._groups[0], strict=True):
        assert ours.features_PCD.equal(theirs.features_PCD)


def test_statements_are_of_the_event_that_is_told() -> None:
    prompter = Prompter(processor_of(FAMILIES["qwen2_5_vl"]))
    drawn = scene(5, shots=4)
    question = ask(drawn, "order", np.random.default_rng(0))
    text = answer(question)
    said = prompter(question.text, text)
    stated_SF = statements(drawn, question, text, said.begins_at)
    colours = list(LOOKS["colour"])
    assert (stated_SF[0] == IGNORED).all()  # the question has not been read
    end = said.begins_at.index(0)
    assert stated_SF[end, 0] == colours.index(drawn.events[0].colour)  # where the question ends
    for number, event in enumerate(drawn.events):
        begins = text.lower().index(f"the {question.sections[number + 1].about} is")
        at = next(place for place, begin in enumerate(said.begins_at) if begin > begins)
        assert stated_SF[at, 0] == colours.index(event.colour)
    assert set(stated_SF[-20:, -1]) == {len(drawn.events)}


@pytest.mark.parametrize("habit", [TARGET, OTHER], ids=["target", "other"])
def test_of_two_events_the_second_is_stated_from_its_own_sentence_on(habit: Habit) -> None:
    prompter = Prompter(processor_of(FAMILIES["qwen2_5_vl"]))
    drawn = scene(5, shots=4)
    question = ask(drawn, "two", np.random.default_rng(0))
    text = answer(question, habit, np.random.default_rng(1))
    said = prompter(question.text, text)
    stated_SF = statements(drawn, question, text, said.begins_at)
    second = text.index(f"The {question.sections[1].about} is")
    shown = [next(event for event in drawn.events if event.shown == shown) for shown in question.shown]
    for place, begin in enumerate(said.begins_at):
        if begin >= 0:
            motion = shown[begin >= second].motion
            assert stated_SF[place, list(LOOKS).index("motion")] == LOOKS["motion"].index(motion)


@both
def test_every_fact_is_one_token_wherever_it_stands(family: Family) -> None:
    tokenizer = processor_of(family).tokenizer
    facts = Facts(tokenizer)
    text = "Two come. One appears at the top left of the picture, where it moves left. No. Red"
    ids = tokenizer(text)["input_ids"]
    kinds = {tokenizer.decode(token).strip(): kind for token, kind in zip(ids, facts.kinds(ids), strict=True) if kind}
    assert [kind for kind in facts.kinds(ids) if kind] == [
        "count",
        "count",
        "row",
        "column",
        "motion",
        "count",
        "colour",
    ]
    assert set(kinds) == {"Two", "One", "top", "left", "No", "Red"}


def test_all_facts_of_all_texts_are_found() -> None:
    tokenizer = processor_of(FAMILIES["qwen2_5_vl"]).tokenizer
    facts, words = Facts(tokenizer), re.compile(rf"\b(?:{'|'.join(FACT_WORDS)})\b", re.IGNORECASE)
    for text in corpus(20):
        kinds = facts.kinds(tokenizer(text)["input_ids"])
        assert len(kinds) - kinds.count(None) == len(words.findall(text)), text


def test_lessons_follow_each_other_and_end_with_all() -> None:
    assert [lesson_at(spent).kept[-1] for spent in (0.0, 0.08, 0.2, 0.3, 0.35, 1.0)] == [16, 32, 64, 64, 160, 160]
    assert ["order" in lesson.kinds for lesson in LESSONS] == [False] * 3 + [True] * 3
    assert [lesson.full for lesson in LESSONS] == [0, 0, 0, 0, 0, 0.25]
    rng = np.random.default_rng(0)
    drawn = [LESSONS[-1].draw_kept(rng) for _ in range(2000)]
    assert abs(np.mean([kept is None for kept in drawn]) - 0.25) < 0.03
    assert LESSONS[-1].draw_kind(("everything", "short"), rng) in ("everything", "short")


def test_without_a_schedule_the_last_lesson_is_the_only_one() -> None:
    assert {lesson_at(spent, AT_ONCE).kept for spent in (0.0, 0.3, 1.0, 1.2)} == {(16, 32, 64, 160)}
    assert lesson_at(0.0, AT_ONCE).full == 0.25


def test_the_rate_rises_and_falls() -> None:
    assert rate(0.0) < 0.05
    assert rate(0.03) > 0.95
    assert rate(0.5) == pytest.approx(0.51, abs=0.01)
    assert rate(1.0) == pytest.approx(0.02)


@both
def test_groups_of_clips_are_shared_through_files(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(family, TINY)
    first, second = (Store(family, model, first=1, folder=tmp_path) for _ in range(2))
    first.advance(0)
    monkeypatch.setattr(second, "_group", None)  # it is not computed again
    second.advance(0)
    ours, theirs = (store.draw(np.random.default_rng(1)) for store in (first, second))
    assert ours.scene == theirs.scene
    assert ours.features_PCD.equal(theirs.features_PCD)
    assert [file.name for file in tmp_path.iterdir()] == ["0.pkl"]


@pytest.mark.parametrize("budget", [{}, {"steps": 3, "minutes": 1.0}, {"steps": -1}, {"minutes": -2.0}])
def test_a_budget_is_in_steps_or_minutes(budget: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="budget: must be"):
        Budget(**budget)


def curve_of(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.curve.read_text().splitlines()]


def speaking(family: Family, *, heads: Sequence[int] = (1, 2)) -> SpeakingStage:
    model = build(family, TINY)
    store = Store(family, model, first=1, most=3)
    return SpeakingStage(family, model, peak=1e-2, heads=heads, store=store, batch_tokens=750)


def assert_same_weights(one: Stage, other: Stage) -> None:
    for (name, ours), theirs in zip(one.parts.state_dict().items(), other.parts.state_dict().values(), strict=True):
        assert ours.equal(theirs), name


def stages(family: Family) -> Iterator[Stage]:
    yield tower.TowerStage(family, build(family, TINY), clips=3)
    teacher = build(family, TINY, seed=1)
    tower.finish(family, teacher)
    yield MimicStage(family, teacher, build(family, TINY), clips=3)
    yield speaking(family, heads=(1, 2) if family.name == "qwen2_5_vl" else ())


@torch.no_grad()
def mean_loss(stage: Stage) -> float:
    return fmean([stage.loss(stage.draw(step, 0.0))[0].item() for step in range(3)])


@both
def test_every_stage_learns(family: Family, tmp_path: Path) -> None:
    for number, stage in enumerate(stages(family)):
        run = Run(stage, Budget(steps=24), tmp_path / f"{number}.pt")
        rest = {name: weight.clone() for name, weight in stage.parts.named_parameters() if not weight.requires_grad}
        first = mean_loss(stage)
        assert run.train()
        last = mean_loss(stage)
        assert last < 0.97 * first, number
        assert curve_of(run)[-1]["step"] == 24
        now = dict(stage.parts.named_parameters())
        assert all(now[name].equal(weight) for name, weight in rest.items())


@both
def test_what_is_drawn_ahead_is_what_would_be_drawn(family: Family, tmp_path: Path) -> None:
    one, ahead = speaking(family), speaking(family)
    assert Run(one, Budget(steps=5), tmp_path / "one.pt").train()
    assert Run(ahead, Budget(steps=5), tmp_path / "ahead.pt", workers=2).train()
    assert_same_weights(one, ahead)


def test_workers_know_how_much_of_the_time_is_spent(tmp_path: Path) -> None:
    class Told:
        """Draws what it is told."""

        def draw(self, step: int, spent: float) -> tuple[int, float]:
            return step, spent

    seconds = multiprocessing.Value("d", 0.0)
    steps = _Steps(cast("Stage", Told()), Budget(minutes=1), 7, seconds)
    assert steps[0] == (7, 0.0)
    seconds.value = 30.0
    assert steps[2] == (9, 0.5)
    assert _Steps(cast("Stage", Told()), Budget(steps=20), 5, seconds)[5] == (10, 0.5)
    assert len(_Steps(cast("Stage", Told()), Budget(steps=20), 5, seconds)) == 15


def test_a_budget_in_minutes_can_be_drawn_ahead(tmp_path: Path) -> None:
    run = Run(speaking(FAMILIES["qwen2_5_vl"]), Budget(minutes=0.02), tmp_path / "minutes.pt", workers=2)
    assert run.train()
    assert run.seconds >= 1.2


def test_a_run_that_was_stopped_goes_on_with_workers(tmp_path: Path) -> None:
    family, file = FAMILIES["qwen2_5_vl"], tmp_path / "stopped.pt"
    whole = Run(speaking(family), Budget(steps=5), tmp_path / "whole.pt")
    whole.train()
    Run(speaking(family), Budget(steps=5), file).train(stop=3)
    rest = Run(speaking(family), Budget(steps=5), file, workers=2)
    assert rest.train()
    assert_same_weights(whole.stage, rest.stage)


def test_a_worker_that_comes_late_writes_no_groups_that_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = FAMILIES["qwen2_5_vl"]
    monkeypatch.setattr("vsd.zoo.training.store.get_worker_info", lambda: SimpleNamespace(id=0, num_workers=1))
    Store(family, build(family, TINY), first=1, most=2, folder=tmp_path).advance(24)  # 7 groups later, of which 2 stay
    assert {file.name for file in tmp_path.iterdir()} == {"5.pkl", "6.pkl", "7.pkl"}  # the last is ahead


def test_clips_are_kept_for_one_tower(tmp_path: Path) -> None:
    work: dict[str, Any] = {
        "family": FAMILIES["qwen2_5_vl"],
        "budget": Budget(steps=1),
        "work": tmp_path,
        "out": tmp_path,
    }
    eyes = tmp_path / "tower-done.pt"
    eyes.write_bytes(b"one")
    first = Training(**work, workers=1)._features(eyes)
    eyes.write_bytes(b"another")
    second = Training(**work, workers=1)._features(eyes)
    assert first != second
    assert Training(**work)._features(eyes) is None


@both
def test_a_run_that_was_stopped_ends_with_the_same_weights(family: Family, tmp_path: Path) -> None:
    whole = Run(speaking(family), Budget(steps=6), tmp_path / "whole.pt")
    assert whole.train()
    assert not Run(speaking(family), Budget(steps=6), tmp_path / "stopped.pt").train(stop=4)
    rest = Run(speaking(family), Budget(steps=6), tmp_path / "stopped.pt")
    assert rest.step == 4
    assert rest.train()
    assert_same_weights(whole.stage, rest.stage)


def test_lines_of_lost_steps_are_dropped(tmp_path: Path) -> None:
    file = tmp_path / "stage.pt"
    stage = tower.TowerStage(FAMILIES["qwen2_5_vl"], build(FAMILIES["qwen2_5_vl"], TINY), clips=1)
    Run(stage, Budget(steps=2), file).train(stop=1)
    lines = ['{"step": 1, "loss": 3}\n', '{"step": 50, "loss": 2}\n', '{"step": 7']
    file.with_suffix(".jsonl").write_text("".join(lines))
    assert curve_of(Run(stage, Budget(steps=2), file)) == [{"step": 1, "loss": 3}]


def test_a_state_of_another_recipe_is_refused_with_its_file(tmp_path: Path) -> None:
    family, file = FAMILIES["qwen2_5_vl"], tmp_path / "stage.pt"
    stage = tower.TowerStage(family, build(family, TINY), clips=1)
    Run(stage, Budget(steps=2), file).train(stop=1)
    with pytest.raises(StateError, match=r"stage\.pt: must be the state of this recipe"):
        Run(stage, Budget(steps=2), file, inner_peak=None)
    larger = tower.TowerStage(family, build(family, SIZES["target"]), clips=1)
    with pytest.raises(StateError, match=r"stage\.pt: must be the state of this recipe"):
        Run(larger, Budget(steps=2), file)


@both
def test_a_finished_towers_features_have_one_scale(family: Family) -> None:
    model = awake(build(family, TINY))
    tower.finish(family, model)
    sights = draw_sights(family, 6, np.random.default_rng(9))
    with torch.no_grad():
        seen = family.see(model, sights.frames_PFHWC)
    assert float(seen.square().mean().sqrt()) == pytest.approx(tower.RMS, rel=0.1)


def test_stages_from_nothing_to_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, each from what the one before has left; the drafts' towers are their own and the target's."""
    monkeypatch.setattr("vsd.zoo.training.stages.SIZES", {**dict.fromkeys(ROLES, TINY), "near": TINY})
    monkeypatch.setattr("vsd.zoo.training.stages.HEADS", dict.fromkeys(ROLES, (1, 2)))
    monkeypatch.setattr("vsd.zoo.training.speaking.Store", partial(Store, first=1))
    family = FAMILIES["qwen2_5_vl"]
    training = Training(family=family, budget=Budget(steps=2), work=tmp_path / "work", out=tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"tower-done\.pt: must be there"):
        training.stage("target")
    for stage in ("tower", *ROLES):
        assert training.stage(stage)
    plain = replace(training, heads=False)
    assert plain.stage("target")
    found = {name: load(str(tmp_path / "out" / family.name / name)) for name in (*ROLES, "target-plain")}
    towers = {name: family.tower(model.model).state_dict() for name, model in found.items()}
    same = {name: all(towers["target"][key].equal(value) for key, value in towers[name].items()) for name in towers}
    assert same == {"target": True, "near": False, "other": True, "target-plain": True}

    monkeypatch.setattr("vsd.zoo.training.evaluate._lengths", lambda clips: [32])
    monkeypatch.setattr("vsd.zoo.training.evaluate._LONGEST", 4)
    report = evaluate(tmp_path / "out" / family.name, most=1)
    assert set(report["32"]) == {"target", "near", "other", "noise", "chance"}
    assert {"foreseen", "misses", "wording", "facts", "facts_one"} <= set(report["32"]["other"])
    assert 0.2 < report["32"]["chance"]["facts"] < 0.45
    assert "32 frames, near: " in table(report)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--stage", "tower", "--steps", "-3"], "budget: must be positive, got -3"),
        (
            ["--stage", "tower", "--steps", "3", "--minutes", "2"],
            "budget: must be in steps or in minutes, got 3 and 2.0",
        ),
        (["--stage", "near"], "tower-done.pt: must be there"),
        (["--stage", "evaluate"], "target.path: the checkpoint folder must exist"),
        (["--stage", "evaluate", "--clips", "/none"], "data.path: must be a folder with a clips.jsonl, got '/none'"),
    ],
)
def test_mistakes_are_one_line(
    options: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*options, "--family", "qwen2_5_vl", "--work", str(tmp_path)])
    assert stopped.value.code == 2
    assert line in capsys.readouterr().err.splitlines()[-1]


@both
def test_an_exported_checkpoint_is_the_model(family: Family, tmp_path: Path) -> None:
    model = awake(build(family, TINY))
    export(family, model, tmp_path)
    loaded = load(str(tmp_path))
    assert loaded.eos == {processor_of(family).tokenizer.eos_token_id}
    for (name, ours), stored in zip(model.state_dict().items(), loaded.model.state_dict().values(), strict=True):
        torch.testing.assert_close(stored, ours.to(torch.bfloat16).float(), rtol=0, atol=0, msg=name)


def test_misses_are_of_facts_or_of_wording() -> None:
    family = FAMILIES["llava_onevision"]
    model = ADAPTERS[family.name](awake(build(family, TINY)), processor_of(family), name="tiny")
    tokenizer, video = model.processor.tokenizer, video_of(scene(2, shots=2))
    prompt = model.encode(video, "?")
    best = int(model.prefill(prompt)[1].argmax())
    (red,) = tokenizer(" red")["input_ids"]
    (the,) = tokenizer(" the")["input_ids"]
    assert compare(model, video, "?", [best], frozenset()).tolist() == [RIGHT]
    assert compare(model, video, "?", [best, 5], frozenset())[0] == RIGHT
    missed = red if best != red else the
    assert compare(model, video, "?", [missed], frozenset([best, missed])).tolist() == [FACT]
    assert compare(model, video, "?", [missed], frozenset([missed])).tolist() == [WORDING]  # another order of clauses
    assert compare(model, video, "?", [missed], frozenset([best])).tolist() == [WORDING]
