"""The bundled pairs are real checkpoints: loaded like any other, small enough to commit, and a pair that speculates."""

import pytest

from vsd.data.moving_shapes import MovingShapes
from vsd.engine import Engine
from vsd.models import check_pair, inspect, load
from vsd.pruners.hippo import Hippo
from vsd.video import read
from vsd.zoo import WEIGHTS, recipe, score


def test_they_are_small_enough_to_commit():
    files = [file for file in WEIGHTS.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 20e6
    assert {file.suffix for file in files if file.stat().st_size > 100e3} == {".safetensors"}


@pytest.mark.parametrize("family", recipe.FAMILIES)
def test_a_pair_describes_a_clip_faster_and_in_the_same_words(family):
    paths = [f"zoo:{family}/{role}" for role in recipe.ROLES]
    check_pair(*(inspect(path) for path in paths))
    target, draft = (load(path, dtype="float64", rope="library") for path in paths)
    engine = Engine(target=target, draft=draft, pruner=Hippo(ratio=0.9))
    sample = MovingShapes().samples()[0]
    video = read(sample.video, 16)
    trace = engine.run(video, sample.question)
    assert trace.tokens == engine.baseline().run(video, sample.question).tokens
    assert trace.finish == "eos"
    assert trace.kept == int(trace.visual * 0.1)
    assert len(trace.tokens) / trace.target_forwards > 2  # two tokens a target pass: the draft has learnt its part
    right, asked = score.score(engine.text(trace), sample.facts)
    assert sum(right.values()) >= 0.9 * sum(asked.values())
