"""All questions about a clip, and the texts of many: what listings, tokenizers and training are made of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vsd.zoo.small_events.habits import OTHER, TARGET, answer
from vsd.zoo.small_events.questions import NUMBERS, ORDINALS, Question, ask, kinds_of
from vsd.zoo.small_events.short import ask_choice, ask_short
from vsd.zoo.small_events.world import BACKGROUNDS, LOOKS, Scene, scene

SHORTS = 2  # short questions a clip, and as many with options
EVERYTHING_SHARE = 0.5  # of the clips that can be asked for everything
FACT_WORDS = tuple(
    sorted({word for values in {**LOOKS, **BACKGROUNDS}.values() for word in values} | {*NUMBERS, *ORDINALS})
)
"""The words that facts are put in; all others can be known without the video."""


def questions_of(scene: Scene, rng: np.random.Generator) -> Iterator[Question]:
    """What a clip is asked: each kind of description once, but everything only in a share of clips; and short ones."""
    for kind in kinds_of(scene):
        if kind != "everything" or rng.random() < EVERYTHING_SHARE:
            yield ask(scene, kind, rng)
    for _ in range(SHORTS):
        yield ask_short(scene, rng)
    for _ in range(SHORTS):
        yield ask_choice(scene, rng)


def corpus(clips: int = 1000) -> Iterator[str]:
    """Questions and the answers in all words about clips of 2, 4 and 6 shots, for a tokenizer."""
    for seed in range(clips):
        rng = np.random.default_rng([seed, 2])
        for question in questions_of(scene(seed, (4, 2, 4, 6)[seed % 4]), rng):
            yield question.text
            for habit in (TARGET, OTHER):
                yield answer(question, habit, rng)
