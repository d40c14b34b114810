"""Habits of wording: who writes an answer says the same facts in their own way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from vsd.zoo.small_events.phrases import EVENT, EVERYTHING, LAYOUTS, MOVES, ORDER, SHORT, SHOT, Ways
from vsd.zoo.small_events.questions import FEW, NONE, Question, Section, number

Say = Callable[..., str]
# Shapes: shorter lists say more besides, and longer ones nothing, so that all answers have 60 to 130 tokens.
_SHORT, _LONG = 4, 6


@dataclass(frozen=True)
class Habit:
    """Which of up to three ways comes likeliest, the first or the `last`, and how likely each is from there on. Lists
    of synonyms that begin with a word in `turned` are read from their other end."""

    name: str
    last: bool = False
    turned: frozenset[str] = frozenset()
    odds: tuple[float, ...] = (0.60, 0.27, 0.13)

    def choose(self, count: int, rng: np.random.Generator | None) -> int:
        """One of `count` ways, with the odds renormalised over as many; without `rng` the likeliest."""
        given = np.array(self.odds[:count])
        place = 0 if rng is None else int(rng.choice(count, p=given / given.sum()))
        return count - 1 - place if self.last else place


TARGET, OTHER = Habit("target"), Habit("other", last=True)
NEAR = Habit("near", turned=frozenset({"moves", "stays", "picture"}))
"""The target's sentences, with a few synonyms of its own: about one token of thirty."""
HABITS = {habit.name: habit for habit in (TARGET, NEAR, OTHER)}


def answer(question: Question, habit: Habit = TARGET, rng: np.random.Generator | None = None) -> str:
    """The right answer in the words of `habit`; without `rng` in its likeliest words."""
    if question.letter:
        return question.letter

    def say(ways: Ways, **facts: str) -> str:
        way = ways[habit.choose(len(ways), rng)]
        return _CHOICE.sub(lambda match: _one_of(match[1].split("|"), habit, rng), way).format(**facts)

    text = " ".join(_WRITERS[question.kind](question.sections, _inflected(say)))
    return _A.sub(r"\1n \2", text)


_CHOICE = re.compile(r"\[([^]]*)\]")
_A = re.compile(r"\b([Aa]) ([aeiou])")


def _one_of(options: list[str], habit: Habit, rng: np.random.Generator | None) -> str:
    place = habit.choose(len(options), rng)
    return options[-1 - place if options[0] in habit.turned else place]


def _inflected(say: Say) -> Say:
    """`say` that knows `{moves}` where there is a motion, `{noun}` and `{appear}` where there is a number, and to begin
    with a capital what ends with a full stop."""

    def wrapped(ways: Ways, **facts: str) -> str:
        single = facts.get("count") in (number(0), number(1))
        words = {"noun": "shape", "appear": "appears"} if single else {"noun": "shapes", "appear": "appear"}
        if "motion" in facts:
            words["moves"] = say(MOVES[facts["motion"]])
        text = say(ways, **facts, **words)
        return text[0].upper() + text[1:] if text.endswith(".") else text

    return wrapped


def _one(sections: tuple[Section, ...], say: Say) -> Iterator[str]:
    (event,) = sections
    for line in say(LAYOUTS["one"]).split():
        alone = line == "company" and event.facts["company"] == NONE
        yield say(EVENT["alone" if alone else line], about=event.about, **event.given, **event.facts)


def _two(sections: tuple[Section, ...], say: Say) -> Iterator[str]:
    *events, pair = sections
    for part in say(LAYOUTS["two"]).split():
        if part == "pair":
            yield say(EVENT["pair"], **pair.facts)
            continue
        for event in events:
            for line in say(LAYOUTS["event of two"]).split():
                yield say(EVENT[line], about=event.about, **event.given, **event.facts)


def _order(sections: tuple[Section, ...], say: Say) -> Iterator[str]:
    video, *events = sections
    for event in events:
        yield say(ORDER["few" if len(events) <= FEW else "many"], about=event.about, **event.facts)
    yield say(ORDER["count"], **video.facts)
    if len(events) <= _SHORT:
        yield say(ORDER["filler"])
    if len(events) <= _LONG:
        yield say(ORDER["end"])


def _shot(sections: tuple[Section, ...], say: Say) -> Iterator[str]:
    shot, *events = sections
    yield say(SHOT["background"], **shot.given, **shot.facts)
    for place, event in enumerate(events):
        opening = say(SHOT["later" if place else "first"])
        yield say(SHOT["event"], opening=opening, **event.facts)
    if not events:
        yield say(SHOT["empty"])
    yield say(SHOT["count"], **shot.facts)
    if len(events) < 2:
        yield say(SHOT["end"])
    yield say(SHOT["still"])


def _everything(sections: tuple[Section, ...], say: Say) -> Iterator[str]:
    video, *rest = sections
    events = 0
    for section, following in zip(rest, [*rest[1:], None], strict=True):
        if "texture" in section.facts:
            yield say(EVERYTHING["background"], shot=section.about.removesuffix(" shot"), **section.facts)
            if following is None or "texture" in following.facts:
                yield say(EVERYTHING["empty"])
        else:
            events += 1
            yield say(EVERYTHING["event"], **section.facts)
    yield say(EVERYTHING["count"], **video.facts)
    if events < _SHORT:
        yield say(EVERYTHING["end"])
        yield say(EVERYTHING["filler"])


def _short(sections: tuple[Section, ...], say: Say) -> Iterator[str]:
    (section,) = sections
    yield say(SHORT[" ".join(section.facts)], **section.facts)


_WRITERS = {"one": _one, "two": _two, "order": _order, "shot": _shot, "everything": _everything, "short": _short}
