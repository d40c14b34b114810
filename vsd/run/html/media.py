"""Clips and frames inside a page, up to a size."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vsd.metrics.record import Record
from vsd.run.results.picture import kept_cells, overlay, shown_at, spread
from vsd.types import Sample, Span, Trace, Video
from vsd.utils.fingerprint import file_stamp
from vsd.video import BadVideo, read
from vsd.video.container import opened

CLIP_BYTES = 1 << 20  # of one clip's file
PAGE_BYTES = 6 << 20  # of all clips and frames of a page; inside it they take a third more
FRAMES = 8  # of a sample
_WIDTH = 320  # pixels of a frame
_PLAYABLE = frozenset({"h264", "vp9", "av1"})  # what every browser plays of an mp4


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A frame as a JPEG in a data address, and the second at which it is shown."""

    address: str
    second: float


@dataclass
class Media:
    """What a page holds so far: `left` bytes may be added. A video is read once for all runs that show it."""

    left: int
    _read: dict[tuple[str, Span, int], Video | BadVideo] = field(default_factory=dict)

    def clip(self, sample: Sample) -> str:
        """The video's own file as a data address, with the span that is asked about; empty where it is too large, or
        of a kind that browsers do not play."""
        file = Path(sample.video)
        try:
            with opened(file) as (container, stream):
                fits = "mp4" in container.format.name and stream.codec_context.name in _PLAYABLE
            if not fits or not self._takes(file.stat().st_size, CLIP_BYTES):
                return ""
            data = file.read_bytes()
        except (BadVideo, OSError):
            return ""
        start, end = sample.span
        part = f"#t={start:g}" + (f",{end:g}" if end is not None else "") if start or end is not None else ""
        return _address(data, "video/mp4") + part

    def frames(self, sample: Sample, frames: int, trace: Trace) -> list[Frame]:
        """Frames with the visual tokens that the draft saw. Raises BadVideo for a file that is gone or cannot be read,
        and ValueError where the run does not say what was kept, or the page is full."""
        grid = trace.grid
        if not grid.tokens:
            raise ValueError("the run does not say what was kept")
        video, found = self._video(sample, frames), list[Frame]()
        kept = kept_cells(grid, trace.kept_K or range(grid.tokens))
        for time in spread(grid, FRAMES):
            place = shown_at(video, grid, time)
            data = _jpeg(overlay(_small(video.frames[place]), grid, kept[time], framed=not kept.all()))
            if not self._takes(len(data), len(data)):
                raise ValueError(f"the page holds its {PAGE_BYTES >> 20} MiB of clips and frames already")
            found.append(Frame(address=_address(data, "image/jpeg"), second=float(video.timestamps[place])))
        return found

    def _video(self, sample: Sample, frames: int) -> Video:
        key = (sample.video, sample.span, frames)
        if key not in self._read:
            self._read.clear()  # the samples come video by video: one at a time is enough
            try:
                self._read[key] = read(sample.video, frames, span=sample.span)
            except BadVideo as error:
                self._read[key] = error
        found = self._read[key]
        if isinstance(found, BadVideo):
            raise found
        return found

    def _takes(self, size: int, largest: int) -> bool:
        """Whether there is room for so many bytes, which are then taken."""
        fits = size <= min(self.left, largest)
        self.left -= size if fits else 0
        return fits


def was_replaced(record: Record) -> bool:
    """Whether another file now stands under the video's name than when it was decoded."""
    now = file_stamp(record.sample.video)
    return bool(now and record.video_stamp and now != record.video_stamp)


def _small(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(frame)
    image.thumbnail((_WIDTH, 2 * _WIDTH))
    return np.asarray(image)


def _jpeg(image: NDArray[np.float64]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray((image * 255).round().astype(np.uint8)).save(stream, "JPEG", quality=80)
    return stream.getvalue()


def _address(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
