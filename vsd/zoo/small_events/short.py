"""Short questions, whose answers are one to four words, and the same with options A to D."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from vsd.zoo.small_events.habits import answer
from vsd.zoo.small_events.questions import Question, Section, names_of, number, ordinal, title
from vsd.zoo.small_events.world import BACKGROUNDS, COLUMNS, LOOKS, ROWS, Event, Scene, Shown

LETTERS = "ABCD"
_OF_AN_EVENT = {
    "colour": "What colour is the {}?",
    "shape": "What shape is the {}?",
    "size": "What size is the {}?",
    "core": "What is the core of the {} like?",
    "place": "Where is the {}?",
    "motion": "How does the {} move?",
    "shot": "In which shot is the {}?",
}
_COUNTS = 6  # numbers of shapes that are offered, or as many as there are

Facts = dict[str, str]


class _Asked(NamedTuple):
    """A question, the facts of its answer and of all that could be answered, and the events that it is about."""

    text: str
    facts: Facts
    answers: Sequence[Facts]
    events: Sequence[Event]


def ask_short(scene: Scene, rng: np.random.Generator) -> Question:
    """A question about one fact of the scene."""
    return _short(_ask(scene, rng))


def ask_choice(scene: Scene, rng: np.random.Generator) -> Question:
    """The same with four options, or as many as there are, of which one is right; the answer is its letter."""
    asked = _ask(scene, rng)
    others = [facts for facts in asked.answers if facts != asked.facts]
    wrong = [others[int(place)] for place in rng.permutation(len(others))[: len(LETTERS) - 1]]
    offered = [answer(_short(asked._replace(facts=facts))) for facts in (asked.facts, *wrong)]
    order = [int(place) for place in rng.permutation(len(offered))]
    options = tuple(offered[place] for place in order)
    listed = " ".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    text, letter = f"{asked.text} {listed} Answer with the letter.", LETTERS[order.index(0)]
    return Question("choice", text, shown=_shown(asked), options=options, letter=letter)


def _short(asked: _Asked) -> Question:
    return Question("short", asked.text, (Section("answer", asked.facts),), _shown(asked))


def _shown(asked: _Asked) -> tuple[Shown, ...]:
    return tuple(event.shown for event in asked.events)


def _ask(scene: Scene, rng: np.random.Generator) -> _Asked:
    topic = int(rng.integers(len(_OF_AN_EVENT) + len(_OF_THE_VIDEO)))
    if topic < len(_OF_AN_EVENT):
        return _of_an_event(scene, list(_OF_AN_EVENT)[topic], rng)
    return _OF_THE_VIDEO[topic - len(_OF_AN_EVENT)](scene, rng)


def _of_an_event(scene: Scene, topic: str, rng: np.random.Generator) -> _Asked:
    """About an event whose name does not give the answer away; about a place where there is none."""
    named = [(event, name) for event in scene.events for name in names_of(scene, event) if topic not in name]
    if not named:
        return _of_an_event(scene, "place", rng)
    event, name = named[int(rng.integers(len(named)))]
    if topic == "place":
        facts, answers = {"row": event.row, "column": event.column}, _all_of({"row": ROWS, "column": COLUMNS})
    elif topic == "shot":
        facts = {"shot": ordinal(event.shot)}
        answers = [{"shot": ordinal(shot)} for shot in range(len(scene.shots))]
    else:
        facts, answers = {topic: getattr(event, topic)}, _all_of({topic: LOOKS[topic]})
    return _Asked(_OF_AN_EVENT[topic].format(title(name)), facts, answers, [event])


def _count(scene: Scene, rng: np.random.Generator) -> _Asked:
    count = len(scene.events)
    answers = [{"count": number(place + 1)} for place in range(max(_COUNTS, count))]
    return _Asked("How many shapes appear in the video?", {"count": number(count)}, answers, scene.events)


def _background(scene: Scene, rng: np.random.Generator) -> _Asked:
    shot = int(rng.integers(len(scene.shots)))
    facts = {"texture": scene.shots[shot].texture, "tone": scene.shots[shot].tone}
    return _Asked(f"What is the background of the {ordinal(shot)} shot like?", facts, _all_of(BACKGROUNDS), [])


def _outermost(scene: Scene, rng: np.random.Generator) -> _Asked:
    word, event = (("first", scene.events[0]), ("last", scene.events[-1]))[int(rng.integers(2))]
    answers = _all_of({name: LOOKS[name] for name in ("colour", "shape")})
    return _Asked(f"Which shape appears {word}?", {"colour": event.colour, "shape": event.shape}, answers, [event])


def _all_of(values: dict[str, tuple[str, ...]]) -> list[Facts]:
    return [dict(zip(values, pair, strict=True)) for pair in product(*values.values())]


_OF_THE_VIDEO: tuple[Callable[[Scene, np.random.Generator], _Asked], ...] = (_count, _background, _outermost)
