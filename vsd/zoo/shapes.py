"""MovingShapes: short generated clips of 1-4 coloured shapes that stand or move over plain and textured backgrounds.

Each shape lives in one quadrant of the frame, which is its place. A clip is a pure function of its scene, and a scene
of its seed, so held-out clips are held out by their seeds alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

SIDE = 112  # pixels: 8 x 8 patches of 14, so 4 x 4 visual tokens a frame after the 2 x 2 merge
SECONDS = 4.0
CLIP_FRAMES = 32

PLACES = ("upper left", "upper right", "lower left", "lower right")
COLOURS = {
    "red": (214, 40, 40),
    "green": (44, 160, 60),
    "blue": (38, 84, 214),
    "yellow": (240, 214, 40),
    "purple": (146, 52, 190),
    "orange": (245, 130, 24),
}
SHAPES = ("circle", "square", "triangle", "cross")
SIZES = {"small": (6.5, 8.0), "medium": (10.0, 11.5), "large": (14.0, 15.5)}  # half-extent in pixels
MOTIONS = {"still": (0, 0), "right": (1, 0), "left": (-1, 0), "up": (0, -1), "down": (0, 1)}
TEXTURES = ("plain", "striped", "checked", "dotted")
TONES = {"black": 28, "grey": 128, "white": 228}
TRAVEL = 22.0  # pixels a moving shape covers in a clip
_Y, _X = np.mgrid[0:SIDE, 0:SIDE]


@dataclass(frozen=True)
class Shape:
    place: str
    size: str
    colour: str
    shape: str
    motion: str
    radius: float
    rgb: tuple[int, int, int]
    centre: tuple[float, float]  # x, y at the middle of the clip


@dataclass(frozen=True)
class Scene:
    texture: str
    tone: str
    shade: int
    phase: int
    shapes: tuple[Shape, ...]

    @property
    def facts(self) -> dict[str, Any]:
        names = ("place", "size", "colour", "shape", "motion")
        shapes = [{name: asdict(shape)[name] for name in names} for shape in self.shapes]
        return {"count": len(self.shapes), "background": f"{self.texture} {self.tone}", "shapes": shapes}


def _shape(place: str, rng: np.random.Generator) -> Shape:
    size = str(rng.choice(list(SIZES)))
    motion = "still" if rng.random() < 0.3 else str(rng.choice([m for m in MOTIONS if m != "still"]))
    colour = str(rng.choice(list(COLOURS)))
    column, row = PLACES.index(place) % 2, PLACES.index(place) // 2
    centre = (SIDE / 4 + column * SIDE / 2 + rng.uniform(-2, 2), SIDE / 4 + row * SIDE / 2 + rng.uniform(-2, 2))
    rgb = tuple(int(np.clip(c + rng.integers(-12, 13), 0, 255)) for c in COLOURS[colour])
    return Shape(place, size, colour, str(rng.choice(SHAPES)), motion, rng.uniform(*SIZES[size]), rgb, centre)  # type: ignore[arg-type]


def scene(seed: int) -> Scene:
    """The scene of `seed`: number of shapes, places, looks and motions are all drawn uniformly (30% stand still)."""
    rng = np.random.default_rng(seed)
    places = sorted(rng.choice(len(PLACES), size=rng.integers(1, 5), replace=False))
    tone = str(rng.choice(list(TONES)))
    shade = TONES[tone] + int(rng.integers(-10, 11))
    shapes = tuple(_shape(PLACES[i], rng) for i in places)
    return Scene(str(rng.choice(TEXTURES)), tone, shade, int(rng.integers(0, 16)), shapes)


def _background(scene: Scene) -> np.ndarray:
    y, x = _Y + scene.phase, _X + scene.phase
    marks = {
        "plain": np.zeros((SIDE, SIDE), bool),
        "striped": (x // 4) % 2 == 0,
        "checked": ((x // 8) + (y // 8)) % 2 == 0,
        "dotted": (x % 10 - 5) ** 2 + (y % 10 - 5) ** 2 < 7,
    }[scene.texture]
    step = -34 if scene.shade > 128 else 34
    return np.repeat((scene.shade + marks * step).astype(np.uint8)[..., None], 3, axis=-1)


def centre(shape: Shape, time: float) -> tuple[float, float]:
    """Where the shape's centre is at `time` (0 = start, 1 = end of the clip): x, y in pixels."""
    dx, dy = MOTIONS[shape.motion]
    return shape.centre[0] + dx * TRAVEL * (time - 0.5), shape.centre[1] + dy * TRAVEL * (time - 0.5)


def coverage(shape: Shape, time: float) -> tuple[slice, slice, np.ndarray]:
    """The box a shape may touch (rows, columns), and how much of each of its pixels the shape covers, (h, w, 1)."""
    cx, cy = centre(shape, time)
    reach = int(shape.radius) + 3
    xs = slice(max(0, int(cx) - reach), min(SIDE, int(cx) + reach + 1))
    ys = slice(max(0, int(cy) - reach), min(SIDE, int(cy) + reach + 1))
    x, y, r = _X[ys, xs] - cx, _Y[ys, xs] - cy, shape.radius
    if shape.shape == "circle":
        outside = np.hypot(x, y) - r
    elif shape.shape == "square":
        outside = np.maximum(abs(x), abs(y)) - 0.9 * r
    elif shape.shape == "triangle":
        outside = np.maximum(0.89 * abs(x) - 0.45 * (y + r) + 0.04 * r, y - 0.8 * r)
    else:
        arm = 0.36 * r
        outside = np.minimum(
            np.maximum(abs(x) - arm, abs(y) - r),
            np.maximum(abs(y) - arm, abs(x) - r),
        )
    return ys, xs, np.clip(0.5 - outside, 0, 1)[..., None]


def render(scene: Scene, times: np.ndarray) -> np.ndarray:
    """Frames of `scene` at `times` (0 = start, 1 = end of the clip): uint8 (len(times), SIDE, SIDE, 3)."""
    background = _background(scene)
    frames = np.repeat(background[None], len(times), axis=0)
    for frame, time in zip(frames, times, strict=True):
        for shape in scene.shapes:
            ys, xs, cover = coverage(shape, float(time))
            under = frame[ys, xs]
            frame[ys, xs] = under + (np.array(shape.rgb, np.float32) - under) * cover
    return frames
