"""Whatever the draft is shown, the generation is the target's own: every file of conf/pruner, at every ratio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from tests.conftest import FAMILIES, Pair
from tests.pairwise import pairwise
from vsd.engine import Engine
from vsd.types import Trace, Video

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "pruner"
NAMES = sorted(file.stem for file in FOLDER.glob("*.yaml"))
QUESTION = "What moves?"
TOKENS = 16


@pytest.fixture(scope="module")
def expected(pairs: Callable[[str], Pair], video: Video) -> dict[str, Trace]:
    """What each family's target says alone."""
    engines = {
        family: Engine(target=pairs(family).target, draft=pairs(family).draft, max_new_tokens=TOKENS)
        for family in FAMILIES
    }
    return {family: engine.baseline().run(video, QUESTION) for family, engine in engines.items()}


@pytest.mark.parametrize(("name", "ratio", "family"), pairwise(NAMES, [0.0, 0.5, 0.9, 0.97], sorted(FAMILIES)))
def test_every_pruner_is_token_identical(
    pairs: Callable[[str], Pair],
    video: Video,
    expected: dict[str, Trace],
    name: str,
    ratio: float,
    family: str,
) -> None:
    pair = pairs(family)
    config = OmegaConf.create({"ratio": ratio, "pruner": OmegaConf.load(FOLDER / f"{name}.yaml")})
    engine = Engine(
        target=pair.target, draft=pair.draft, pruner=instantiate(config.pruner), gamma=3, max_new_tokens=TOKENS
    )
    trace = engine.run(video, QUESTION, seed=3)
    assert trace.tokens == expected[family].tokens
    assert 1 <= trace.kept <= trace.visual
    if ratio == 0:
        assert trace.kept == trace.visual
