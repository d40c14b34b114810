"""What is asked about a scene, and the facts that an answer must state.

Facts are sections: what each is `about`, what the question has `given` of it, and the `facts` that only the video
tells. All values are words, as an answer puts them, so that answers are written from the facts alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from vsd.zoo.small_events.world import FPS, LOOKS, SHOT, Event, Scene, Shown

DESCRIPTIONS = ("one", "two", "order", "shot", "everything")
KINDS = (*DESCRIPTIONS, "short", "choice")
EVERYTHING = 10  # most events and shots of a clip that is asked for everything: of more the answer is too long
FEW = 3  # events of a clip up to which the order is told in more detail
NONE = "none"
IDLE = 0.1  # of the questions about a shot, where there is one in which nothing happens

NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
_TEXTS = {
    "one": ("Describe the {0}.", "What does the {0} look like, and what does it do?"),
    "two": ("Describe the {0} and the {1}.", "What do the {0} and the {1} look like, and what do they do?"),
    "order": ("In which order do the shapes appear?", "List the shapes in the order in which they appear."),
    "shot": ("What happens in the {shot} shot?", "What happens from second {begin} to second {end}?"),
    "everything": ("Describe everything that happens in the video.", "Describe all shapes and all shots of the video."),
}


@dataclass(frozen=True)
class Section:
    """Part of an answer: the facts it must state about one thing."""

    about: str
    facts: dict[str, str]
    given: dict[str, str] = field(default_factory=dict)


_Asked = tuple[Sequence[Section], Sequence[Event]]


@dataclass(frozen=True)
class Question:
    """`letter` is that of the right one of `options`, where there are some; else `sections` say what is right. `shown`
    is where the events are seen that the answer is about."""

    kind: str
    text: str
    sections: tuple[Section, ...] = ()
    shown: tuple[Shown, ...] = ()
    options: tuple[str, ...] = ()
    letter: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """What is right, and where it is seen, as JSON values."""
        sections = [asdict(section) for section in self.sections]
        return {"kind": self.kind, "shown": [list(shown) for shown in self.shown], "sections": sections}


def number(count: int) -> str:
    """The word for it, or digits above ten."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def ordinal(place: int) -> str:
    """The word for the place, counted from 0, or digits above the tenth: first, 11th."""
    if place < len(ORDINALS):
        return ORDINALS[place]
    count = place + 1
    ending = "th" if 10 < count % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{ending}"


def ask(scene: Scene, kind: str, rng: np.random.Generator) -> Question:
    """A question of a kind of `DESCRIPTIONS`. Raises ValueError where `kinds_of` does not name it."""
    if kind not in kinds_of(scene):
        raise ValueError(f"kind: must be one of {', '.join(kinds_of(scene))} for this scene, got {kind!r}")
    sections, events = _KINDS[kind](scene, rng)
    wording = _TEXTS[kind][int(rng.integers(len(_TEXTS[kind])))]
    text = wording.format(*(section.about for section in sections), **sections[0].given)
    return Question(kind, text, tuple(sections), tuple(event.shown for event in events))


def kinds_of(scene: Scene) -> tuple[str, ...]:
    """The kinds of `DESCRIPTIONS` that can be asked about the scene."""
    enough = {"two": len(scene.events) > 1, "everything": len(scene.events) + len(scene.shots) <= EVERYTHING}
    return tuple(kind for kind in DESCRIPTIONS if enough.get(kind, True))


def names_of(scene: Scene, event: Event) -> list[dict[str, str]]:
    """The fewest of colour, shape and size that single out the event: one of them, or else two. All ways."""
    pairs = (("size", "colour"), ("colour", "shape"), ("size", "shape"))
    for choices in ((("colour",), ("shape",)), pairs):
        named = [{name: getattr(event, name) for name in names} for names in choices]
        alone = [name for name in named if sum(_is(other, name) for other in scene.events) == 1]
        if alone:
            return alone
    raise ValueError(f"scene: must have no two events of one colour and shape, got {event}")


def title(given: dict[str, str]) -> str:
    """Like "small blue shape" for a size and a colour."""
    return " ".join([given[name] for name in ("size", "colour") if name in given] + [given.get("shape", "shape")])


def _is(event: Event, looks: dict[str, str]) -> bool:
    return all(getattr(event, name) == value for name, value in looks.items())


def _named(scene: Scene, event: Event, rng: np.random.Generator) -> dict[str, str]:
    names = names_of(scene, event)
    return names[int(rng.integers(len(names)))]


def _looks(event: Event, names: Sequence[str]) -> dict[str, str]:
    return {name: getattr(event, name) for name in names}


def _background(scene: Scene, shot: int) -> dict[str, str]:
    return {"texture": scene.shots[shot].texture, "tone": scene.shots[shot].tone}


def _whole(scene: Scene, event: Event, rng: np.random.Generator) -> Section:
    """All there is to see of an event, but what names it."""
    given = _named(scene, event, rng)
    looks = _looks(event, [name for name in LOOKS if name not in given])
    facts = {**looks, "shot": ordinal(event.shot), **_background(scene, event.shot)}
    return Section(title(given), facts, given)


def _one(scene: Scene, rng: np.random.Generator) -> _Asked:
    event = scene.events[int(rng.integers(len(scene.events)))]
    section = _whole(scene, event, rng)
    others = [other for other in scene.during(event.shot) if other != event]
    company = f"{others[0].colour} {others[0].shape}" if others else NONE
    return [replace(section, facts={**section.facts, "company": company})], [event, *others]


def _two(scene: Scene, rng: np.random.Generator) -> _Asked:
    pair = [int(place) for place in rng.permutation(len(scene.events))[:2]]
    events = [scene.events[place] for place in pair]
    sections = [_whole(scene, event, rng) for event in events]
    return [*sections, Section("pair", {"earlier": sections[pair.index(min(pair))].about})], events


def _order(scene: Scene, rng: np.random.Generator) -> _Asked:
    few = len(scene.events) <= FEW
    names = ("size", "colour", "shape", "row", "column") if few else ("colour", "shape")
    sections = [
        Section(ordinal(place), {**_looks(event, names), "shot": ordinal(event.shot)})
        for place, event in enumerate(scene.events)
    ]
    return [_count("video", scene.events), *sections], scene.events


def _shot(scene: Scene, rng: np.random.Generator) -> _Asked:
    busy = sorted({event.shot for event in scene.events})
    idle = [shot for shot in range(len(scene.shots)) if shot not in busy]
    shots = idle if idle and rng.random() < IDLE else busy
    shot = shots[int(rng.integers(len(shots)))]
    seconds = SHOT // FPS
    given = {"shot": ordinal(shot), "begin": str(seconds * shot), "end": str(seconds * (shot + 1))}
    events = scene.during(shot)
    facts = {**_count("shot", events).facts, **_background(scene, shot)}
    sections = [Section(ordinal(place), _looks(event, tuple(LOOKS))) for place, event in enumerate(events)]
    return [Section("shot", facts, given), *sections], events


def _everything(scene: Scene, rng: np.random.Generator) -> _Asked:
    sections = [_count("video", scene.events)]
    names = ("size", "colour", "shape", "row", "column", "motion")
    for shot in range(len(scene.shots)):
        about = f"{ordinal(shot)} shot"
        sections.append(Section(about, _background(scene, shot)))
        for place, event in enumerate(scene.during(shot)):
            sections.append(Section(f"{about}, {ordinal(place)}", _looks(event, names)))
    return sections, scene.events


def _count(about: str, events: Sequence[Event]) -> Section:
    return Section(about, {"count": number(len(events))})


_KINDS: dict[str, Callable[[Scene, np.random.Generator], _Asked]] = {
    "one": _one,
    "two": _two,
    "order": _order,
    "shot": _shot,
    "everything": _everything,
}
