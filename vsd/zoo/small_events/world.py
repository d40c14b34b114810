"""What happens in a clip: shots of one background each, and small events in them.

A scene is a function of its seed and its number of shots, so held-out clips are held out by their seeds alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

FPS = 4
SHOT = 16  # frames
STEP = 2  # frames: an event starts and ends with one of Qwen's visual tokens, which show two frames
HELD_OUT, TRAINING = 500_000, 1_000_000
"""Seeds from HELD_OUT to TRAINING are for evaluation, from TRAINING on for training; below are a tokenizer's texts."""

COLOURS = {
    "red": (214, 40, 40),
    "green": (44, 160, 60),
    "blue": (38, 84, 214),
    "yellow": (240, 214, 40),
    "purple": (146, 52, 190),
    "orange": (245, 130, 24),
    "pink": (250, 130, 190),
    "cyan": (40, 200, 215),
}
SHAPES = ("circle", "square", "triangle", "cross", "diamond")
SIZES = {"small": (5.9, 6.6), "medium": (8.3, 9.0), "large": (11.0, 11.7)}  # half-extent in pixels
CORES = {"white": 250, "black": 8, "plain": None}
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "centre", "right")
MOTIONS = {"still": (0, 0), "up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
TEXTURES = ("flat", "striped", "checked", "dotted")
TONES = {"dark": 50, "grey": 125, "light": 205}
LOOKS: dict[str, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "size": tuple(SIZES),
    "core": tuple(CORES),
    "row": ROWS,
    "column": COLUMNS,
    "motion": tuple(MOTIONS),
}
"""What is drawn for an event, uniformly."""
BACKGROUNDS: dict[str, tuple[str, ...]] = {"texture": TEXTURES, "tone": tuple(TONES)}
"""What is drawn for a shot, uniformly, but not twice the same in a row."""

_PER_SHOT = 2  # most events in a shot
_LIVES = (3, 4)  # steps
_APART = 2  # steps between the starts of two events of a shot: which comes first must be seen
_LEAST, _MOST = 0.75, 1.5  # events a shot, over the whole clip
_PER_COLOUR = 2  # most events of one colour, unless the clip has too many


@dataclass(frozen=True)
class Shot:
    texture: str
    tone: str
    shade: int  # of the background, 0 to 255
    phase: int  # of the texture, in pixels


class Shown(NamedTuple):
    """When and where an event is seen."""

    start: int  # first frame
    frames: int
    row: str
    column: str


@dataclass(frozen=True)
class Event:
    """A shape that is there for 6 or 8 frames of one shot: its looks, and what of them is not said."""

    colour: str
    shape: str
    size: str
    core: str
    row: str
    column: str
    motion: str
    shot: int
    start: int
    frames: int
    radius: float  # pixels
    rgb: tuple[int, int, int]
    offset: tuple[float, float]  # x, y from the middle of its cell, in pixels

    @property
    def shown(self) -> Shown:
        return Shown(self.start, self.frames, self.row, self.column)

    def on(self, frame: int) -> bool:
        return self.start <= frame < self.start + self.frames


@dataclass(frozen=True)
class Scene:
    """`events` are in the order in which they start. No two have both colour and shape in common."""

    shots: tuple[Shot, ...]
    events: tuple[Event, ...]

    @property
    def frames(self) -> int:
        return SHOT * len(self.shots)

    def during(self, shot: int) -> tuple[Event, ...]:
        return tuple(event for event in self.events if event.shot == shot)


def scene(seed: int, shots: int = 4) -> Scene:
    """The scene of `seed` with `shots` shots: 3 to 6 events in 4 shots, and in proportion in others.

    Everything is drawn uniformly; at most two events share a colour, and at most two a shot, in different places.
    """
    rng = np.random.default_rng([seed, shots])
    backgrounds = _shots(shots, rng)
    colours = list(COLOURS)
    low, high = int(np.ceil(_LEAST * shots)), int(_MOST * shots)
    count = min(int(rng.integers(low, high + 1)), len(colours) * len(SHAPES))
    most = max(_PER_COLOUR, -(-count // len(colours)))
    events: list[Event] = []
    while len(events) < count:
        event = _event(shots, rng)
        others = [other for other in events if other.shot == event.shot]
        alike = [other.shape for other in events if other.colour == event.colour]
        if event.shape not in alike and len(alike) < most and _fits(event, others):
            events.append(event)
    return Scene(backgrounds, tuple(sorted(events, key=lambda event: event.start)))


def training_seed(rng: np.random.Generator) -> int:
    """A seed that no clip for evaluation has."""
    return TRAINING + int(rng.integers(1 << 40))


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _shots(count: int, rng: np.random.Generator) -> tuple[Shot, ...]:
    shots: list[Shot] = []
    while len(shots) < count:
        texture, tone = (_pick(rng, options) for options in BACKGROUNDS.values())
        if not shots or (shots[-1].texture, shots[-1].tone) != (texture, tone):
            shade = TONES[tone] + int(rng.integers(-12, 13))
            shots.append(Shot(texture, tone, shade, int(rng.integers(0, 16))))
    return tuple(shots)


def _event(shots: int, rng: np.random.Generator) -> Event:
    looks = {name: _pick(rng, options) for name, options in LOOKS.items()}
    shot, life = int(rng.integers(shots)), int(rng.choice(_LIVES))
    start = SHOT * shot + STEP * int(rng.integers(SHOT // STEP - life + 1))
    red, green, blue = (int(np.clip(c + rng.integers(-10, 11), 0, 255)) for c in COLOURS[looks["colour"]])
    offset = (float(rng.uniform(-1.5, 1.5)), float(rng.uniform(-1.5, 1.5)))
    radius = float(rng.uniform(*SIZES[looks["size"]]))
    return Event(
        **looks, shot=shot, start=start, frames=STEP * life, radius=radius, rgb=(red, green, blue), offset=offset
    )


def _fits(event: Event, others: list[Event]) -> bool:
    """Whether it can share its shot with `others`."""
    apart = all(abs(event.start - other.start) >= STEP * _APART for other in others)
    elsewhere = all((event.row, event.column) != (other.row, other.column) for other in others)
    return len(others) < _PER_SHOT and apart and elsewhere
