"""What a tower is shown: patches of many clips with the names of what each cell shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vsd.zoo.small_events.drawing import cell_labels, render
from vsd.zoo.small_events.world import Scene, scene, training_seed
from vsd.zoo.training.family import Family

SHOTS = (4, 6, 2, 4, 6)
"""Of the clips that are trained, in turn: two of five have 64 frames, as many 96, and one 32. The longer a clip, the
more there is to mix up."""
_EMPTY = 1  # patches a clip without regard to its events
_GRAIN = 3.0  # most of a clip's, in levels: what a video codec leaves


class Sights(NamedTuple):
    frames_PFHWC: Tensor
    event_PC: Tensor  # -1 where there is none
    kinds_PCK: Tensor  # as `small_events.drawing.Cells` has them


def draw_scene(number: int, rng: np.random.Generator) -> Scene:
    """A scene for training; its length goes by `number`."""
    return scene(training_seed(rng), SHOTS[number % len(SHOTS)])


def draw_sights(family: Family, clips: int, rng: np.random.Generator) -> Sights:
    """One patch of each event of `clips` clips, and a few more."""
    parts = []
    for number in range(clips):
        drawn = draw_scene(number, rng)
        tokens = {int(rng.integers(drawn.frames)) // family.frames_per_token for _ in range(_EMPTY)}
        for event in drawn.events:
            tokens.add((event.start + int(rng.integers(event.frames))) // family.frames_per_token)
        parts.append(show(family, drawn, sorted(tokens), rng))
    return Sights(*(torch.cat(part) for part in zip(*parts, strict=True)))


def show(family: Family, drawn: Scene, tokens: list[int], rng: np.random.Generator) -> Sights:
    """The patches of these numbers in time, with the grain of a codec."""
    stride = family.frames_per_token
    numbers = np.array(tokens)[:, None] * stride + np.arange(stride)
    pixels = render(drawn, numbers.ravel(), noise=float(rng.uniform(0, _GRAIN)), rng=rng)
    cells = cell_labels(drawn, tokens, stride)
    return Sights(
        torch.from_numpy(pixels).unflatten(0, numbers.shape),
        torch.from_numpy(cells.event_TGG).flatten(1),
        torch.from_numpy(cells.kinds_TGGK).flatten(1, 2),
    )
