"""A video file → frames, those that FFmpeg shows, the same ones every time."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vsd.types import Video
from vsd.video import by_decord, by_pyav, by_torchcodec
from vsd.video.base import BadVideo, WrongFrames, sample_indices
from vsd.video.timetable import Alive, Timetable, count_frames, read_timetable, silent

READERS = {
    "auto": by_pyav.frames,  # right for all, and as fast as any: see experiments/video
    "pyav": by_pyav.frames,
    "decord": by_decord.frames,
    "torchcodec": by_torchcodec.frames,
}
_COMPLETE = ("auto", "pyav")  # those that show whatever FFmpeg shows
_LEAST = 0.5  # share of a file's frames that must be decodable: it may begin in the midst of a scene
Scaling = Callable[[int, int, int], Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None]


class Shown(NamedTuple):
    """What follows: so many of a file's `total` frames as there are `timestamps`, of which size."""

    total: int
    timestamps: NDArray[np.float64]
    height: int
    width: int
    warning: str = ""


def read(path: str | Path, frames: int, *, reader: str = "auto", scaling: Scaling | None = None) -> Video:
    """The `frames` evenly spaced frames of `sample_indices`, or all of them if the video has fewer.

    They are those that the ffmpeg program shows: in the order and at the times of presentation, hidden ones left out
    (edit lists), turned as the file says, of the stream that it picks. `reader` is one of READERS: "auto" and "pyav"
    read all that FFmpeg can decode, the others refuse what they would not read right. `scaling`, given the number,
    height and width of the frames, says how each of them is scaled as soon as it is decoded (see
    `vsd.models.scaling`), if at all. Raises BadVideo with the reason for a file that cannot be read.
    """
    return collect(path, stream(path, frames, reader=reader), scaling)


def measure(path: str | Path) -> tuple[int, int, int]:
    """How many frames a video has, and their height and width. Raises BadVideo as `read` does."""
    table = read_timetable(_checked(path))
    return len(table), table.height, table.width


def check_reader(reader: object) -> None:
    """Raise ValueError unless it is a reader that can be had here."""
    if reader not in READERS:
        raise ValueError(f"video.reader: must be one of {', '.join(READERS)}, got {reader!r}")
    if reader not in _COMPLETE and importlib.util.find_spec(str(reader)) is None:
        raise ValueError(f"video.reader: its package must be installed, got {reader!r}")


def stream(
    path: str | Path, frames: int, *, reader: str = "auto", alive: Alive = silent
) -> Iterator[Shown | NDArray[np.uint8]]:
    """The same as it comes: what follows, then the frames. What follows can come again: then all begins anew.

    `alive` is called between the steps of long work. Raises BadVideo as `read` does.
    """
    table = read_timetable(_checked(path), alive)
    try:
        yield from _events(table, frames, reader, alive)
    except WrongFrames as error:
        if reader not in _COMPLETE:
            raise BadVideo(path, f"{error} (video.reader=auto)") from error
        counted = count_frames(table.file, alive)
        if len(counted) < _LEAST * len(table):
            raise BadVideo(path, f"damaged: {len(counted)} of {len(table)} frames can be decoded") from error
        yield from _events(counted, frames, reader, alive)


def collect(path: str | Path, events: Iterable[Shown | NDArray[np.uint8]], scaling: Scaling | None = None) -> Video:
    """The video that `stream` tells of."""
    shown, pixels, count, scale = Shown(0, np.zeros(0), 0, 0), np.zeros(0, np.uint8), 0, None
    for event in events:
        if isinstance(event, Shown):
            shown, count = event, 0
            scale = scaling(len(event.timestamps), event.height, event.width) if scaling else None
            continue
        frame = scale(event) if scale else event
        if count == 0:
            pixels = np.empty((len(shown.timestamps), *frame.shape), dtype=np.uint8)
        pixels[count] = frame
        count += 1
    fitted = scale is not None
    return Video(frames=pixels, timestamps=shown.timestamps, path=str(path), fitted=fitted, warning=shown.warning)


def _events(table: Timetable, frames: int, reader: str, alive: Alive) -> Iterator[Shown | NDArray[np.uint8]]:
    indices: Sequence[int] = sample_indices(len(table), frames).tolist()
    yield Shown(len(table), table.timestamps_N[indices].round(4), table.height, table.width, table.warning)
    for frame in READERS[reader](table, indices, alive) if indices else ():
        if frame.shape != (table.height, table.width, 3):
            raise WrongFrames(f"{reader} shows frames of {frame.shape}, not {(table.height, table.width, 3)}")
        yield frame


def _checked(path: str | Path) -> Path:
    file = Path(path)
    if not file.exists():
        raise BadVideo(path, "there is no such file")
    if not file.is_file():
        raise BadVideo(path, "not a file")
    if file.stat().st_size == 0:
        raise BadVideo(path, "the file is empty")
    return file
