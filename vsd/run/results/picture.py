"""Frames of a video with the visual tokens that a draft sees: those bright and framed, the others dark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vsd.types import Grid, Video

DARK = 0.18  # of the light of a token that was kept
FRAME = (0.95, 0.8, 0.25)  # colour around one
GAP = 4  # pixels between two frames
_EDGE = 2  # pixels of the frame around a token
_LEAST = 96  # pixels of a frame's height, so that tokens can be told apart


def spread(grid: Grid, columns: int, busy: Sequence[int] = ()) -> list[int]:
    """The places in time that are drawn: evenly spread, each moved to a nearby one of `busy` if there is one."""
    count = min(columns, grid.t)
    even = [place * grid.t // count for place in range(count)]
    step = grid.t // len(even)
    return [next((time for time in busy if place <= time < place + step), place) for place in even]


def strip(
    video: Video, grid: Grid, times: Sequence[int], kept_K: Sequence[int] | NDArray[np.int64]
) -> NDArray[np.float64]:
    """Frames side by side, (height, width, 3) from 0 to 1. All tokens are bright and none is framed where `kept_K`
    holds all of them."""
    kept, found = kept_cells(grid, kept_K), list[NDArray[np.float64]]()
    for time in times:
        image = overlay(video.frames[shown_at(video, grid, time)], grid, kept[time], framed=not kept.all())
        found += [image, np.ones((image.shape[0], GAP, 3))]
    return np.concatenate(found[:-1], axis=1)


def kept_cells(grid: Grid, kept_K: Sequence[int] | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which tokens of the grid were kept, (t, h, w). Raises IndexError for one that the grid does not have."""
    kept = np.zeros(grid.tokens, bool)
    kept[np.asarray(kept_K, dtype=int)] = True
    return kept.reshape(grid)


def shown_at(video: Video, grid: Grid, time: int) -> int:
    """The first frame of a place in time of the grid."""
    each = max(1, -(-len(video.frames) // grid.t))
    return min(time * each, len(video.frames) - 1)


def overlay(
    frame: NDArray[np.uint8], grid: Grid, kept: NDArray[np.bool_], *, framed: bool = True
) -> NDArray[np.float64]:
    """A frame with the tokens that were `kept`, (h, w), bright, and `framed` if that is wanted: (height, width, 3) from
    0 to 1, in whole tokens."""
    fitted = _fitted(frame, grid)
    cell = (fitted.shape[0] // grid.h, fitted.shape[1] // grid.w)
    edge = np.ones(cell, bool)
    edge[_EDGE:-_EDGE, _EDGE:-_EDGE] = False
    bright = np.kron(kept, np.ones(cell, bool))[..., None]
    image = np.where(bright, fitted, DARK * fitted)
    if framed:
        image[np.kron(kept, edge).astype(bool)] = FRAME
    return image


def _fitted(frame: NDArray[np.uint8], grid: Grid) -> NDArray[np.float64]:
    """The frame in a size that the grid divides: made larger by whole pixels, then cut to whole tokens."""
    larger = max(1, -(-_LEAST // frame.shape[0]), -(-3 * _EDGE * grid.h // frame.shape[0]))
    frame = frame.repeat(larger, 0).repeat(larger, 1)
    rows, columns = (
        np.arange(side * (size // side)) for size, side in zip(frame.shape, (grid.h, grid.w), strict=False)
    )
    cut: NDArray[np.float64] = (
        frame[rows * frame.shape[0] // len(rows)][:, columns * frame.shape[1] // len(columns)] / 255.0
    )
    return cut
