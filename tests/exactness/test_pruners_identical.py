"""Whatever the draft is shown, the generation is the target's own: every file of conf/pruner, at every ratio."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from tests.conftest import Pair
from vsd.engine import Engine
from vsd.types import Trace, Video

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "pruner"
NAMES = sorted(file.stem for file in FOLDER.glob("*.yaml"))
QUESTION = "What moves?"
TOKENS = 16


@pytest.fixture(scope="module")
def expected(pair: Pair, video: Video) -> Trace:
    return Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS).baseline().run(video, QUESTION)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.9, 0.97])
@pytest.mark.parametrize("name", NAMES)
def test_every_pruner_is_token_identical(pair: Pair, video: Video, expected: Trace, name: str, ratio: float) -> None:
    config = OmegaConf.create({"ratio": ratio, "pruner": OmegaConf.load(FOLDER / f"{name}.yaml")})
    engine = Engine(
        target=pair.target, draft=pair.draft, pruner=instantiate(config.pruner), gamma=3, max_new_tokens=TOKENS
    )
    trace = engine.run(video, QUESTION, seed=3)
    assert trace.tokens == expected.tokens
    assert 1 <= trace.kept <= trace.visual
    if ratio == 0:
        assert trace.kept == trace.visual
