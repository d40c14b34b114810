"""A video file → frames, those that FFmpeg shows, the same ones every time."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vsd.types import WHOLE, Span, Video
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
_CLOSE_S = 1e-6  # a frame's time is a fraction, that of a span a decimal
_LEAST = 0.5  # share of a file's frames that must be decodable: it may begin in the midst of a scene
Scaling = Callable[[int, int, int], Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None]


class Shown(NamedTuple):
    """What follows: so many of a file's `total` frames as there are `timestamps`, of which size."""

    total: int
    timestamps: NDArray[np.float64]
    height: int
    width: int
    warning: str = ""


def read(
    path: str | Path, frames: int, *, span: Span = WHOLE, reader: str = "auto", scaling: Scaling | None = None
) -> Video:
    """The `frames` evenly spaced frames of `sample_indices` within the `span`, or all of them if there are fewer; their
    times are counted from where a span begins.

    They are those that the ffmpeg program shows: in the order and at the times of presentation, hidden ones left out
    (edit lists), turned as the file says, of the stream that it picks. `reader` is one of READERS: "auto" and "pyav"
    read all that FFmpeg can decode, the others refuse what they would not read right. `scaling`, given the number,
    height and width of the frames, says how each of them is scaled as soon as it is decoded (see
    `vsd.models.scaling`), if at all. Raises BadVideo with the reason for a file that cannot be read.
    """
    return collect(path, stream(path, frames, span=span, reader=reader), scaling)


def measure(path: str | Path, span: Span = WHOLE) -> tuple[int, int, int]:
    """How many frames a video has within the span, and their height and width. Raises BadVideo as `read` does."""
    table = read_timetable(_checked(path))
    return len(_inside(table, span)), table.height, table.width


def check_reader(reader: object) -> None:
    """Raise ValueError unless it is a reader that can be had here."""
    if reader not in READERS:
        raise ValueError(f"video.reader: must be one of {', '.join(READERS)}, got {reader!r}")
    if reader not in _COMPLETE and importlib.util.find_spec(str(reader)) is None:
        raise ValueError(f"video.reader: its package must be installed, got {reader!r}")


def stream(
    path: str | Path, frames: int, *, span: Span = WHOLE, reader: str = "auto", alive: Alive = silent
) -> Iterator[Shown | NDArray[np.uint8]]:
    """The same as it comes: what follows, then the frames. What follows can come again: then all begins anew.

    `alive` is called between the steps of long work. Raises BadVideo as `read` does.
    """
    table = read_timetable(_checked(path), alive)
    try:
        yield from _events(table, frames, span, reader, alive)
    except WrongFrames as error:
        if reader not in _COMPLETE:
            raise BadVideo(path, f"{error} (video.reader=auto)") from error
        counted = count_frames(table.file, alive)
        if len(counted) < _LEAST * len(table):
            raise BadVideo(path, f"damaged: {len(counted)} of {len(table)} frames can be decoded") from error
        yield from _events(counted, frames, span, reader, alive)


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


def _inside(table: Timetable, span: Span) -> NDArray[np.int64]:
    """The frames that come within the span; of one between two frames, which can be seconds apart, the one that is on
    the screen meanwhile. Raises BadVideo for a span that begins when the last one is no longer shown."""
    times_N = table.timestamps_N - table.timestamps_N[0]
    until = np.inf if span.end is None else span.end
    inside = np.flatnonzero((times_N >= span.start - _CLOSE_S) & (times_N < until - _CLOSE_S))
    shown_until = times_N[-1] if table.warning else max(times_N[-1], table.lasts)
    if not len(inside) and span.start < shown_until:
        return np.array([np.searchsorted(times_N, span.start) - 1])
    if not len(inside):
        rule = f"no frame is shown from {span.start:g} s to {'the end' if span.end is None else f'{span.end:g} s'}"
        raise BadVideo(table.file, f"{rule}: its last one is at {times_N[-1]:.3f} s")
    return inside


def _events(
    table: Timetable, frames: int, span: Span, reader: str, alive: Alive
) -> Iterator[Shown | NDArray[np.uint8]]:
    inside = _inside(table, span)
    indices: Sequence[int] = inside[sample_indices(len(inside), frames)].tolist()
    timestamps = table.timestamps_N[indices]
    if span != WHOLE:
        timestamps = np.maximum(timestamps - table.timestamps_N[0] - span.start, 0.0)
    timestamps = timestamps.round(4)
    yield Shown(len(inside), timestamps, table.height, table.width, table.warning)
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
