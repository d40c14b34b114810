"""What is said about a scene: detailed descriptions, short questions, and the words in which facts are put.

A description's facts are fixed by the scene; its filler words are drawn with unequal odds, so a model learns the most
likely filler and the facts, and a draft can disagree with its target on either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vsd.zoo.shapes import COLOURS, MOTIONS, PLACES, SHAPES, SIZES, TEXTURES, TONES, Scene, Shape

DESCRIBE = (
    "Please provide a detailed description of the video, focusing on the main subjects, their actions, "
    "and the background scenes."
)
NUMBERS = ("zero", "one", "two", "three", "four")
MOVES = {
    "still": "stays still",
    "right": "moves to the right",
    "left": "moves to the left",
    "up": "moves up",
    "down": "moves down",
}
LETTERS = "ABCD"
ODDS = (0.60, 0.27, 0.13)


class Question(NamedTuple):
    """A question, its right answer, and what it asks for. With options, the answer is the letter of one of them."""

    text: str
    answer: str
    kind: str
    options: tuple[str, ...] = ()


def _sentence(shape: Shape, pick: Callable[..., str]) -> str:
    look = f"{shape.size} {shape.colour} {shape.shape}"
    opening = pick(f"In the {shape.place} there is a", f"The {shape.place} holds a", f"In the {shape.place} we see a")
    link = pick("that", "which", "and it")
    return f"{opening} {look} {link} {MOVES[shape.motion]}."


def describe(scene: Scene, rng: np.random.Generator, odds: Sequence[float] = ODDS) -> str:
    """A description of 60-120 tokens: the background and the count, a sentence a shape in reading order, a closing.

    `odds` are those of the up to three ways to put each filler, renormalised over as many as there are.
    """

    def pick(*options: str) -> str:
        given = np.array(odds[: len(options)])
        return options[int(rng.choice(len(options), p=given / given.sum()))]

    count = len(scene.shapes)
    noun = "shape" if count == 1 else "shapes"
    opening = pick("The video shows", "This video shows", "We can see")
    first = f"{opening} {NUMBERS[count]} coloured {noun} on a {scene.texture} {scene.tone} background."
    closing = [
        pick(
            "Nothing else appears in the scene.",
            "No other object appears in the scene.",
            "The rest of the scene is empty.",
        ),
        pick("The camera does not move", "The camera stays fixed", "The view is fixed")
        + " and the "
        + pick("light remains the same", "light does not change", "brightness is constant")
        + " from the beginning to the end of the video.",
    ]
    if count < 3:
        closing.insert(1, pick("The background keeps its look all the time.", "The background does not change at all."))
    return " ".join([first, *(_sentence(shape, pick) for shape in scene.shapes), *closing])


def _open_question(scene: Scene, rng: np.random.Generator) -> tuple[str, str, str, tuple[str, ...]]:
    """Question, answer, kind and all answers of that kind."""
    shape = scene.shapes[int(rng.integers(len(scene.shapes)))]
    asked = [
        (f"What colour is the shape in the {shape.place}?", shape.colour, "colour", tuple(COLOURS)),
        (f"What shape is in the {shape.place}?", shape.shape, "shape", SHAPES),
        (f"What is the size of the shape in the {shape.place}?", shape.size, "size", tuple(SIZES)),
        (f"How does the shape in the {shape.place} move?", f"it {MOVES[shape.motion]}", "motion",
         tuple(f"it {MOVES[motion]}" for motion in MOTIONS)),
        ("How many shapes are there?", NUMBERS[len(scene.shapes)], "count", NUMBERS[1:]),
        ("What is the background like?", f"{scene.texture} {scene.tone}", "background",
         tuple(f"{texture} {tone}" for texture in TEXTURES for tone in TONES)),
    ]  # fmt: skip
    alike = [s for s in scene.shapes if (s.colour, s.shape) == (shape.colour, shape.shape)]
    if len(alike) == 1:
        asked.append((f"Where is the {shape.colour} {shape.shape}?", f"in the {shape.place}", "place",
                      tuple(f"in the {place}" for place in PLACES)))  # fmt: skip
    return asked[int(rng.integers(len(asked)))]


def ask(scene: Scene, rng: np.random.Generator) -> Question:
    """A short question about the scene; a third of them give choices A to D and want the letter."""
    text, answer, kind, answers = _open_question(scene, rng)
    if rng.random() > 1 / 3:
        return Question(text, answer, kind)
    others = [other for other in answers if other != answer]
    choices = [answer, *rng.permutation(others)[: len(LETTERS) - 1]]
    order = rng.permutation(len(choices))
    options = tuple(str(choices[place]) for place in order)
    listed = " ".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    return Question(f"{text} {listed} Answer with the letter.", LETTERS[list(order).index(0)], kind, options)
