"""When the frames of a file are shown: found without decoding them, from the times of its packets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from vsd.video.base import BadVideo
from vsd.video.container import opened
from vsd.video.orientation import Orientation, orientation

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

INDEXED = frozenset({"mp4", "matroska"})  # containers in which a seek is cheap and lands where it should
_STAMPED = INDEXED | {"flv", "mpegts", "mpeg"}  # containers with the time of every frame in them
_MISSING, _MISSING_S = 0.1, 1.0  # share and seconds of a file that a sound track may last longer than the picture
Alive = Callable[[], None]  # called while a long pass makes progress


def silent() -> None:
    """Nobody wants to know."""


class Key(NamedTuple):
    """The packet of a key frame, from which decoding can begin."""

    pts: int
    seek: int  # its time in the order of decoding, which seeks go by; no later than `pts`


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """All frames that are shown, in their order. `pts_N` are their times in units of `time_base` seconds, ascending;
    None where the file has no times, and frames are known by their number only. `keys` are ascending.

    `stream` is the number of the stream in the file, `formats` what FFmpeg calls the container. `height` and `width`
    are as shown, after `turned`. `plain` says that nothing is hidden by an edit list, turned, shown beside another
    video stream, or shown before the key frame that it comes after in the file (an open group of pictures). `lasts` is
    what the file says of its length in seconds, 0 if it says nothing.
    """

    file: Path
    stream: int
    formats: frozenset[str]
    time_base: Fraction
    pts_N: NDArray[np.int64] | None
    keys: tuple[Key, ...]
    timestamps_N: NDArray[np.float64]
    height: int
    width: int
    turned: Orientation
    plain: bool
    lasts: float

    @property
    def warning(self) -> str:
        """What is said of a file whose frames end long before it does, as those of most truncated files."""
        shown = float(self.timestamps_N[-1] - self.timestamps_N[0])
        if shown >= (1 - _MISSING) * self.lasts - _MISSING_S:
            return ""
        return f"the file says that it lasts {self.lasts:.1f} s, its frames end after {shown:.1f} s"

    @property
    def indexed(self) -> bool:
        """Whether a seek is cheap and lands where it should."""
        return bool(self.formats & INDEXED)

    def __len__(self) -> int:
        return len(self.timestamps_N)


def read_timetable(file: Path, alive: Alive = silent) -> Timetable:
    """The timetable from one pass over the packets, of which only the first are decoded.

    Raises BadVideo for a file without a video stream, a decoder or a frame, and for one that lacks packets that its own
    index names.
    """
    with opened(file) as (container, stream):
        first: VideoFrame | None = None
        shown: list[int | None] = []
        keys: list[Key] = []
        packets = hidden = leading = 0
        for packet in container.demux(stream):
            alive()
            if first is None:
                first = next(iter(decoded(packet)), None)
            if not packet.size:
                continue
            packets += 1
            hidden += packet.is_discard
            if packet.pts is not None and len(keys) > 1:
                leading += packet.pts < keys[-1].pts
            if packet.is_keyframe and packet.pts is not None:
                keys.append(Key(packet.pts, packet.pts if packet.dts is None else packet.dts))
            if not packet.is_discard:
                shown.append(packet.pts)
        indexed = len(stream.index_entries) if "mp4" in container.format.name else 0  # others know what they have met
        if packets < indexed:
            raise BadVideo(file, f"truncated: {packets} of its {indexed} frames are there")
        if not shown:
            raise BadVideo(file, "zero frames")
        if first is None:
            raise BadVideo(file, "damaged: none of its frames can be decoded")
        table = _timetable(file, container, stream, first)
        table = replace(table, keys=tuple(sorted(keys)), plain=table.plain and not hidden and not leading)
        times = [pts for pts in shown if pts is not None]
        if not (table.formats & _STAMPED and keys and len(set(times)) == len(shown)):
            return count_frames(file, alive)
        return _timed(table, times)


def count_frames(file: Path, alive: Alive = silent) -> Timetable:
    """The timetable from decoding the whole file, where packets do not tell: not every one has a time of its own, or
    shows a frame. Frames without a time are evenly spaced at the file's rate."""
    with opened(file) as (container, stream):
        first: VideoFrame | None = None
        times: list[int | None] = []
        for packet in container.demux(stream):
            for frame in decoded(packet):
                alive()
                first = first or frame
                times.append(frame.pts)
        if first is None:
            raise BadVideo(file, "zero frames")
        table = _timetable(file, container, stream, first)
        known = [pts for pts in times if pts is not None]
        if len(set(known)) == len(times):
            return replace(_timed(table, known), pts_N=None)
        rate = stream.guessed_rate or stream.average_rate or Fraction(25)  # the order of the ffmpeg program
        return replace(table, timestamps_N=np.arange(len(times)) / float(rate))


def decoded(packet: Packet[VideoStream]) -> list[VideoFrame]:
    """The frames that come out with this packet. One that is damaged gives none, and the next ones are tried, as FFmpeg
    does."""
    try:
        return list(packet.decode())
    except av.error.InvalidDataError:
        return []


def _timetable(file: Path, container: InputContainer, stream: VideoStream, first: VideoFrame) -> Timetable:
    """All but the times."""
    turned = orientation(first)
    height, width = (first.width, first.height) if turned.transpose else (first.height, first.width)
    return Timetable(
        file=file,
        stream=stream.index,
        formats=frozenset(container.format.name.split(",")),
        time_base=Fraction(stream.time_base or 1),
        pts_N=None,
        keys=(),
        timestamps_N=np.zeros(0),
        height=height,
        width=width,
        turned=turned,
        lasts=(container.duration or 0) / av.time_base,
        plain=turned.upright and len(container.streams.video) == 1,
    )


def _timed(table: Timetable, times: list[int]) -> Timetable:
    pts_N = np.sort(np.array(times, dtype=np.int64))
    base = table.time_base
    return replace(table, pts_N=pts_N, timestamps_N=pts_N * base.numerator / base.denominator)
