"""Frames by PyAV: right for every file that FFmpeg can show."""

from __future__ import annotations

from bisect import bisect
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import dropwhile
from math import inf
from typing import TYPE_CHECKING, cast

import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from vsd.video.base import WrongFrames
from vsd.video.container import opened
from vsd.video.timetable import Alive, Key, Timetable, decoded, silent

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer


def frames(table: Timetable, indices: Sequence[int], alive: Alive = silent) -> Iterator[NDArray[np.uint8]]:
    """The RGB pixels (height, width, 3) of these frames of the timetable, which ascend.

    Decoding begins at the last key frame before each of them; what lies between is skipped. Raises WrongFrames if the
    file does not show one of them.
    """
    with opened(table.file) as (container, stream):
        frames = _numbered(container, stream, set(indices), alive)
        if table.pts_N is not None:
            frames = _timed(container, stream, table, table.pts_N[list(indices)].tolist(), alive)
        yield from map(_Rgb(table), frames)


class _Rgb:
    """Frames to pixels by FFmpeg's own filters, which know of colour spaces, ranges and interlaced lines. All get the
    size of the first one: a stream may change it."""

    def __init__(self, table: Timetable) -> None:
        self._turned = table.turned
        self._width, self._height = (table.width, table.height)[:: -1 if table.turned.transpose else 1]
        self._graphs: dict[tuple[str, int, int], Graph] = {}

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        form = (frame.format.name, frame.width, frame.height)
        if form not in self._graphs:
            self._graphs[form] = self._graph(frame)
        graph = self._graphs[form]
        graph.vpush(frame)
        rgb24 = cast(NDArray[np.uint8], graph.vpull().to_ndarray())
        return self._turned.apply(rgb24)

    def _graph(self, frame: VideoFrame) -> Graph:
        graph = Graph()
        graph.link_nodes(
            graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base),
            graph.add("scale", f"{self._width}:{self._height}"),
            graph.add("format", "rgb24"),
            graph.add("buffersink"),
        ).configure()
        return graph


def _numbered(container: InputContainer, stream: VideoStream, wanted: set[int], alive: Alive) -> Iterator[VideoFrame]:
    """Frames by their number, for which all before are decoded."""
    number = 0
    for packet in container.demux(stream):
        for frame in decoded(packet):
            alive()
            if number in wanted:
                yield frame
            number += 1
            if number > max(wanted):
                return
    raise WrongFrames(f"{number} of {max(wanted) + 1} frames can be decoded")


def _timed(
    container: InputContainer, stream: VideoStream, table: Timetable, wanted: Sequence[int], alive: Alive
) -> Iterator[VideoFrame]:
    """Frames by their time. What lies between one and the key frame before the next is not decoded."""
    left = deque(wanted)
    begun = -inf  # the time of the last key frame that was decoded
    packets = container.demux(stream)
    while left:
        if begun < (key := _key_before(table, left[0])).pts:
            if table.indexed:
                container.seek(key.seek, stream=stream)
                packets = container.demux(stream)
            if begun > -inf:
                stream.codec_context.flush_buffers()
            packets = _from_key(packets, key)
        for packet in packets:
            alive()
            if packet.is_keyframe and packet.pts is not None:
                begun = max(begun, packet.pts)
            if table.indexed:  # elsewhere FFmpeg makes some times up from the frames before
                stream.codec_context.skip_frame = "DEFAULT" if packet.pts in left else "NONREF"
            for frame in decoded(packet):
                if left and frame.pts == left[0]:
                    yield frame
                    left.popleft()
            if not left or begun < _key_before(table, left[0]).pts:
                break
        else:
            raise WrongFrames(f"no frame is shown at {float(left[0] * table.time_base):.3f} s")


def _from_key(packets: Iterator[Packet[VideoStream]], key: Key) -> Iterator[Packet[VideoStream]]:
    return dropwhile(lambda packet: packet.pts != key.pts or not packet.is_keyframe, packets)


def _key_before(table: Timetable, pts: int) -> Key:
    """The last key frame that is shown no later; the first one if there is none."""
    return table.keys[max(bisect(table.keys, pts, key=lambda key: key.pts) - 1, 0)]
