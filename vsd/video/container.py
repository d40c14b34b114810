"""Opening a video file with PyAV (FFmpeg): which stream is read, and what is wrong with a file that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.stream import Disposition

from vsd.video.base import BadVideo

if TYPE_CHECKING:
    from av import VideoStream
    from av.container import InputContainer

_DEFAULT_BONUS = 5_000_000


@contextmanager
def opened(file: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The file and the stream of it that the ffmpeg program shows: the largest, where the one that the file marks as
    its default counts as larger by five million pixels, and the picture of a cover not at all.

    It is decoded on one thread: several make the frames of some damaged files depend on timing. Raises BadVideo if
    there is no such stream.
    """
    # A relative name may begin like an address: 12:30.mp4.
    with _reasons(file), av.open(str(file.absolute())) as container:
        streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        if not streams:
            raise BadVideo(file, "no video stream in it: audio only, or truncated")
        readable = [stream for stream in streams if stream.codec_context is not None]
        if not readable:
            raise BadVideo(file, "no decoder for the codec of its video stream")
        stream = max(readable, key=_weight)
        stream.codec_context.thread_count = 1
        yield container, stream


def _weight(stream: VideoStream) -> int:
    """What FFmpeg compares streams by; of equal ones it takes the first, as `max` does."""
    return stream.width * stream.height + _DEFAULT_BONUS * bool(stream.disposition & Disposition.default)


@contextmanager
def _reasons(file: Path) -> Iterator[None]:
    """FFmpeg's errors as reasons that a user understands."""
    try:
        yield
    except av.error.InvalidDataError as error:
        raise BadVideo(file, "not a video, or truncated") from error
    except UnicodeEncodeError as error:
        raise BadVideo(file, "its name must be text (UTF-8) to be opened") from error
    except (av.error.FFmpegError, OSError) as error:
        raise BadVideo(file, f"it cannot be read: {error.strerror or error}") from error
