"""The generated clips: what is drawn, what is said about it, and whether the facts can be read back."""

import json

import numpy as np
import pytest

from vsd.zoo import CLIPS, score, shapes, texts
from vsd.zoo.clips import HELD_OUT
from vsd.zoo.train import TRAIN_SEEDS


def test_a_scene_is_a_function_of_its_seed():
    assert shapes.scene(5) == shapes.scene(5)
    assert shapes.scene(5) != shapes.scene(6)


@pytest.mark.parametrize("seed", range(20))
def test_every_shape_stays_in_its_quadrant(seed):
    scene = shapes.scene(seed)
    bare = shapes.Scene(scene.texture, scene.tone, scene.shade, scene.phase, ())
    drawn = (shapes.render(scene, np.linspace(0, 1, 5)) != shapes.render(bare, np.zeros(1))).any(axis=(0, 3))
    half = shapes.SIDE // 2
    margin = 3  # shapes are centred within 2 pixels of the quadrant's middle and may touch its border
    inner = {
        "upper left": drawn[: half - margin, : half - margin],
        "upper right": drawn[: half - margin, half + margin :],
        "lower left": drawn[half + margin :, : half - margin],
        "lower right": drawn[half + margin :, half + margin :],
    }
    assert {place for place, pixels in inner.items() if pixels.any()} == {shape.place for shape in scene.shapes}


def test_only_moving_shapes_move():
    for seed in range(30):
        scene = shapes.scene(seed)
        first, last = shapes.render(scene, np.array([0.0, 1.0])).astype(int)
        assert (first != last).any() == any(shape.motion != "still" for shape in scene.shapes)


def test_descriptions_state_every_fact_and_vary_in_their_fillers():
    rng = np.random.default_rng(0)
    for seed in range(100):
        scene = shapes.scene(seed)
        right, asked = score.score(texts.describe(scene, rng), scene.facts)
        assert right == asked
    assert len({texts.describe(shapes.scene(3), rng) for _ in range(20)}) > 10


def test_the_odds_of_the_wordings_can_be_turned_round():
    scene, rng = shapes.scene(3), np.random.default_rng(0)
    said = [texts.describe(scene, rng, odds=texts.ODDS[::-1]) for _ in range(200)]
    openings = [sum(text.startswith(opening) for text in said) for opening in ("The video", "This video", "We can")]
    assert openings == sorted(openings)


def test_scoring_counts_what_is_wrong_or_unsaid():
    scene = shapes.scene(3)
    text = texts.describe(scene, np.random.default_rng(0))
    wrong = text.replace(scene.shapes[0].colour, "pink", 1)
    assert score.total([score.score(wrong, scene.facts)])["colour"] == pytest.approx(1 - 1 / len(scene.shapes))
    assert score.total([score.score("", scene.facts)])["shape"] == 0


def test_choice_questions_name_the_letter_of_the_right_answer():
    rng = np.random.default_rng(1)
    seen = 0
    for seed in range(100):
        question = texts.ask(shapes.scene(seed), rng)
        if "Answer with the letter." in question.text:
            seen += 1
            assert f"{question.answer}. " in question.text
    assert seen > 10


def test_held_out_clips_are_committed_and_are_the_recipes():
    rows = [json.loads(line) for line in (CLIPS / "clips.jsonl").read_text().splitlines()]
    assert len(rows) == 64
    assert HELD_OUT + len(rows) <= TRAIN_SEEDS
    for number, row in enumerate(rows):
        assert (CLIPS / row["video"]).stat().st_size > 0
        assert row["facts"] == shapes.scene(HELD_OUT + number).facts
