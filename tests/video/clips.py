"""Writes small video files, good and bad."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 64, 48, 10


def write_video(
    path: Path,
    *,
    frames: int = 20,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    tuning: Mapping[str, str] | None = None,
    times: Iterable[int] | None = None,
) -> Path:
    """The frames of `pixels` at RATE a second, or at `times` in units of 1 / RATE seconds. `options` are the
    container's, `tuning` the encoder's."""
    with av.open(str(path), "w", options=dict(options or {})) as container:
        stream = container.add_stream(codec, rate=RATE, options=dict(tuning or {}))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, time in enumerate(times or range(frames)):
            picture = av.VideoFrame.from_ndarray(pixels(index), format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def pixels(index: int) -> NDArray[np.uint8]:
    """Frame `index` of `write_video`: as bright all over as `brightness` says, with a black upper left corner."""
    picture = np.full((HEIGHT, WIDTH, 3), brightness(index), np.uint8)
    picture[: HEIGHT // 3, : WIDTH // 4] = 0
    return picture


def brightness(index: int) -> int:
    """Of frame `index`; different for any 23 in a row."""
    return 10 + 10 * index % 240


def write_audio(path: Path) -> Path:
    """A second of silence and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def truncate(path: Path, *, keep: float = 0.5) -> Path:
    """Cut the end of a file off."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


def turn(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Give the track of an mp4 file another display matrix: (x, y) is shown at (ax + cy, bx + dy)."""
    content = path.read_bytes()
    place = content.index(_matrix(1, 0, 0, 1), content.index(b"tkhd"))
    new = _matrix(a, b, c, d)
    path.write_bytes(content[:place] + new + content[place + len(new) :])
    return path


def trim(path: Path, start: int, frames: int) -> Path:
    """Have the edit list of an mp4 file of ours show so many of its frames only, from number `start` on."""
    content = bytearray(path.read_bytes())
    place = content.index(b"elst") + 12  # behind its name, version and count of edits: milliseconds, first time
    per_frame = _timescale(bytes(content)) // RATE
    (first,) = struct.unpack_from(">i", content, place + 4)
    struct.pack_into(">Ii", content, place, frames * 1000 // RATE, first + start * per_frame)
    path.write_bytes(content)
    return path


def _timescale(content: bytes) -> int:
    return int(struct.unpack_from(">I", content, content.index(b"mdhd") + 16)[0])


def _matrix(a: int, b: int, c: int, d: int) -> bytes:
    return struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)


def rename_codec(path: Path) -> Path:
    """Give the video of an mp4 file the name of a codec that nobody knows."""
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    return path


def write_zero_frames(path: Path) -> Path:
    """A container with a video track and no frame in it."""
    with av.open(str(path), "w", options={"movflags": "empty_moov+frag_keyframe"}) as container:
        stream = container.add_stream("libx264", rate=RATE)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        container.start_encoding()
    return path
