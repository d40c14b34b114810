"""Scenes as frames, and what each cell of a frame shows.

The light tells place and time, which a small vision tower does not know by itself: it is redder to the right, bluer
downwards, and greener from shot to shot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsd.zoo.small_events.world import (
    BACKGROUNDS,
    COLUMNS,
    CORES,
    LOOKS,
    MOTIONS,
    ROWS,
    SHOT,
    Event,
    Scene,
    Shot,
    Shown,
)

CELL = 28  # pixels that a visual token covers along each axis
SIDE = 140
LABELS = {**LOOKS, **BACKGROUNDS}
_TINT = 44.0  # levels of red from left to right, and of blue from top to bottom
_LIGHTER = 10.0  # levels of green from one shot to the next
_MARKS = 30  # levels between a texture's marks and its ground
_SPEED = 1.0  # pixels a frame
_GHOST, _BEHIND = 0.5, 6.0  # what moves leaves a ghost: its opacity, and how many pixels behind
_CORE = 0.36  # of the radius


def check_side(side: int) -> None:
    """ValueError unless frames of this side have cells for three places along each axis."""
    if side % CELL or side < 3 * CELL:
        raise ValueError(f"side: must be a multiple of {CELL}, at least {3 * CELL}, got {side}")


def cell_of(event: Event | Shown, side: int = SIDE) -> tuple[int, int]:
    """Row and column of the event's cell: the outer cells, or the middle one."""
    places = (0, side // CELL // 2, side // CELL - 1)
    return places[ROWS.index(event.row)], places[COLUMNS.index(event.column)]


def centre_of(event: Event, frame: float, side: int = SIDE) -> tuple[float, float]:
    """Where the shape's centre is at `frame`: x, y in pixels. Half-way through its life the shape and its ghost lie
    around the middle of the cell, so that hardly anything of them is outside."""
    row, column = cell_of(event, side)
    dx, dy = MOTIONS[event.motion]
    way = _BEHIND / 2 + _SPEED * (frame - event.start - (event.frames - 1) / 2)
    x, y = (CELL * (place + 0.5) for place in (column, row))
    return x + event.offset[0] + dx * way, y + event.offset[1] + dy * way


def render(
    scene: Scene,
    frames: Sequence[int] | NDArray[np.int64],
    side: int = SIDE,
    *,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
) -> NDArray[np.uint8]:
    """The frames of these numbers: uint8 (len(frames), side, side, 3). `noise` is the standard deviation of a grey
    grain, in levels of 255, drawn from `rng`."""
    check_side(side)
    grounds = {shot: _background(scene.shots[shot], shot, side) for shot in {int(f) // SHOT for f in frames}}
    pixels: NDArray[np.uint8] = np.stack([grounds[int(frame) // SHOT] for frame in frames])
    for image, frame in zip(pixels, frames, strict=True):
        for event in scene.events:
            if event.on(int(frame)):
                _draw(image, event, int(frame))
    if noise:
        rng = rng or np.random.default_rng()
        grain = noise * rng.standard_normal((*pixels.shape[:3], 1), dtype=np.float32)
        pixels = np.clip(pixels + np.rint(grain), 0, 255).astype(np.uint8)
    return pixels


@dataclass(frozen=True)
class Cells:
    """What the cells show, for T tokens of `frames_per_token` frames and G x G cells.

    `event_TGG` is the number of the event whose cell it is while it is there, -1 for none. `kinds_TGGK` is 1 + the
    index of each of `LABELS`, 0 for an event's looks where there is none. `shot_T` is the number of the shot.
    """

    event_TGG: NDArray[np.int64]
    kinds_TGGK: NDArray[np.int64]
    shot_T: NDArray[np.int64]


def cell_labels(
    scene: Scene, tokens: Sequence[int] | NDArray[np.int64], frames_per_token: int, side: int = SIDE
) -> Cells:
    """Labels of the tokens of these numbers in time; `frames_per_token` is 2 for Qwen and 1 for LLaVA-OneVision."""
    grid = side // CELL
    first_T = np.asarray(tokens, np.int64) * frames_per_token
    event_TGG = np.full((len(first_T), grid, grid), -1)
    kinds_TGGK = np.zeros((len(first_T), grid, grid, len(LABELS)), np.int64)
    shot_T = first_T // SHOT
    for number, shot in enumerate(scene.shots):
        named = [1 + options.index(getattr(shot, name)) for name, options in BACKGROUNDS.items()]
        kinds_TGGK[shot_T == number, :, :, len(LOOKS) :] = named
    for number, event in enumerate(scene.events):
        there = (first_T >= event.start) & (first_T < event.start + event.frames)
        row, column = cell_of(event, side)
        event_TGG[there, row, column] = number
        looks = [1 + options.index(getattr(event, name)) for name, options in LOOKS.items()]
        kinds_TGGK[there, row, column, : len(LOOKS)] = looks
    return Cells(event_TGG, kinds_TGGK, shot_T)


def tokens_of(shown: Iterable[Shown], frames_per_token: int, side: int = SIDE) -> list[int]:
    """The visual tokens that show these events, by their numbers in the grid (time, row, column), sorted."""
    grid, tokens = side // CELL, set()
    for event in shown:
        row, column = cell_of(event, side)
        first, last = event.start // frames_per_token, (event.start + event.frames - 1) // frames_per_token
        tokens |= {(time * grid + row) * grid + column for time in range(first, last + 1)}
    return sorted(tokens)


def contact_sheet(scene: Scene, side: int = SIDE) -> NDArray[np.uint8]:
    """Every second frame, a row a shot: uint8 (height, width, 3)."""
    pixels = render(scene, np.arange(0, scene.frames, 2), side)
    rows = pixels.reshape(len(scene.shots), SHOT // 2, side, side, 3)
    return rows.transpose(0, 2, 1, 3, 4).reshape(len(scene.shots) * side, SHOT // 2 * side, 3)


def _background(shot: Shot, number: int, side: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:side, 0:side]
    down, right = y + shot.phase, x + shot.phase
    marks = {
        "flat": np.zeros((side, side), bool),
        "striped": (right // 4) % 2 == 0,
        "checked": ((right // 8) + (down // 8)) % 2 == 0,
        "dotted": (right % 10 - 5) ** 2 + (down % 10 - 5) ** 2 < 7,
    }[shot.texture]
    ground = shot.shade + marks * (-_MARKS if shot.shade > 128 else _MARKS)
    green = np.full((side, side), _LIGHTER * (number - 2))
    light = np.stack([(x / side - 0.5) * _TINT, green, (y / side - 0.5) * _TINT], axis=-1)
    pixels: NDArray[np.uint8] = np.clip(ground[..., None] + light, 0, 255).astype(np.uint8)
    return pixels


def _draw(image: NDArray[np.uint8], event: Event, frame: int) -> None:
    x, y = centre_of(event, frame, len(image))
    dx, dy = MOTIONS[event.motion]
    if event.motion != "still":
        behind = (x - dx * _BEHIND, y - dy * _BEHIND)
        _blend(image, event.rgb, behind, event.radius, event.shape, _GHOST)
    _blend(image, event.rgb, (x, y), event.radius, event.shape)
    core = CORES[event.core]
    if core is not None:
        _blend(image, (core,) * 3, (x, y), _CORE * event.radius, "circle")


def _blend(
    image: NDArray[np.uint8],
    rgb: tuple[int, ...],
    centre: tuple[float, float],
    radius: float,
    shape: str,
    opacity: float = 1.0,
) -> None:
    """Draws a shape over the image, in place."""
    reach = int(1.2 * radius) + 3
    box = [slice(max(0, int(c) - reach), max(0, min(len(image), int(c) + reach + 1))) for c in reversed(centre)]
    y, x = np.ogrid[box[0], box[1]]
    cover = np.clip(0.5 - _distance(shape, x - centre[0], y - centre[1], radius), 0, 1)[..., None]
    under = image[box[0], box[1]].astype(np.float32)
    image[box[0], box[1]] = under + (np.array(rgb, np.float32) - under) * (cover * opacity)


def _distance(shape: str, x: NDArray[np.float64], y: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """About how many pixels a point lies outside the shape around (0, 0); negative inside."""
    if shape == "circle":
        return np.hypot(x, y) - radius
    if shape == "square":
        return np.maximum(abs(x), abs(y)) - 0.9 * radius
    if shape == "triangle":
        return np.maximum(0.89 * abs(x) - 0.45 * (y + radius) + 0.04 * radius, y - 0.8 * radius)
    if shape == "diamond":
        return (abs(x) + abs(y)) * 0.8 - 0.95 * radius
    arm = 0.3 * radius
    return np.minimum(
        np.maximum(abs(x) - arm, abs(y) - radius),
        np.maximum(abs(y) - arm, abs(x) - radius),
    )
