"""A video file → frames, the same ones every time.

decord reads where it has a wheel (Linux x86-64, Windows); elsewhere PyAV does. Both give the same frames.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

from vsd.types import SampleError, Video


class BadVideo(SampleError):  # noqa: N818 - a name, not a category
    """A file that cannot be read as a video; the message names the file and the reason."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")


def sample_indices(total: int, frames: int) -> np.ndarray:
    """Which of `total` frames are read: `frames` indices at even distance from the first to the last, both included,
    rounded to the nearest (int64, ascending, no repeats). One frame is the first; a shorter video gives all it has."""
    return np.linspace(0, total - 1, min(frames, total)).round().astype(np.int64)


def read(path: str | Path, frames: int) -> Video:
    """The `frames` evenly spaced frames of `sample_indices`, or all of them if the video has fewer.

    Raises BadVideo if the file is missing, empty, not a video, without a picture or a frame, or damaged.
    """
    file = Path(path)
    if not file.exists():
        raise BadVideo(path, "there is no such file")
    if not file.is_file():
        raise BadVideo(path, "not a file")
    if file.stat().st_size == 0:
        raise BadVideo(path, "the file is empty")
    reader = _read_decord if importlib.util.find_spec("decord") else _read_av
    return reader(file, frames)


def measure(path: str | Path) -> tuple[int, int, int]:
    """How many frames a video has, and their height and width, from one frame of it. Raises BadVideo as `read` does."""
    if importlib.util.find_spec("decord") and Path(path).is_file() and Path(path).stat().st_size:
        reader = _open_decord(Path(path))
        height, width = reader[0].shape[:2]
        return len(reader), int(height), int(width)
    frames = read(path, sys.maxsize).frames
    return frames.shape[0], frames.shape[1], frames.shape[2]


def _open_decord(file: Path) -> Any:
    import decord

    decord.logging.set_level(decord.logging.FATAL)  # its reasons reach the user through BadVideo
    try:
        # One thread: several make the frames of some damaged files depend on timing.
        reader = decord.VideoReader(str(file), ctx=decord.cpu(0), num_threads=1)
    except (RuntimeError, decord.DECORDError) as error:
        if "video stream" in str(error):
            raise BadVideo(file, "no video stream in it: audio only, or truncated") from error
        if "buffer source" in str(error):  # no frame told it the pixel format
            raise BadVideo(file, "zero frames") from error
        raise BadVideo(file, "not a video, or truncated") from error
    if len(reader) == 0:
        raise BadVideo(file, "zero frames")
    return reader


def _read_decord(file: Path, frames: int) -> Video:
    import decord

    reader = _open_decord(file)
    indices = sample_indices(len(reader), frames)
    try:
        pixels = reader.get_batch(indices).asnumpy()
        seconds = reader.get_frame_timestamp(indices)[:, 0]
    except (RuntimeError, IndexError, decord.DECORDError) as error:
        raise BadVideo(file, f"damaged or truncated: frame {indices[-1]} of {len(reader)} cannot be decoded") from error
    return Video(frames=pixels, seconds=np.asarray(seconds, dtype=np.float64).round(4), path=str(file))


def _read_av(file: Path, frames: int) -> Video:
    import av

    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise BadVideo(file, "no video stream in it: audio only, or truncated")
            declared = container.streams.video[0].frames
            total = declared or sum(1 for _ in container.decode(video=0))
    except av.error.FFmpegError as error:
        raise BadVideo(file, "not a video, or truncated") from error
    if total == 0:
        raise BadVideo(file, "zero frames")
    wanted = set(sample_indices(total, frames).tolist())
    pixels, seconds, count = [], [], 0
    try:
        with av.open(str(file)) as container:
            for count, frame in enumerate(container.decode(video=0), start=1):
                if count - 1 in wanted:
                    pixels.append(frame.to_ndarray(format="rgb24"))
                    seconds.append(float(frame.time or 0.0))
    except av.error.FFmpegError as error:
        raise BadVideo(file, f"damaged or truncated: frame {count} of {total} cannot be decoded") from error
    if len(pixels) < len(wanted):  # PyAV stops without an error at the end of a truncated file
        raise BadVideo(file, f"damaged or truncated: {count} of {total} frames can be decoded")
    return Video(frames=np.stack(pixels), seconds=np.asarray(seconds, dtype=np.float64).round(4), path=str(file))
