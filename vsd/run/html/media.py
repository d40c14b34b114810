"""Clips and frames inside a page, up to a size."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vsd.metrics.record import Record
from vsd.run.results.clips import Drawings, playable
from vsd.types import Sample, Trace
from vsd.utils.fingerprint import file_stamp

PAGE_BYTES = 6 << 20  # of all clips and frames of a page; inside it they take a third more


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A frame as a JPEG in a data address, and the second at which it is shown."""

    address: str
    second: float


@dataclass
class Media:
    """What a page holds so far: `left` bytes may be added."""

    left: int
    _drawings: Drawings = field(default_factory=Drawings)

    def clip(self, sample: Sample) -> str:
        """The video's own file as a data address, with the span that is asked about; empty where it is too large, or
        of a kind that browsers do not play."""
        file = playable(sample)
        try:
            if file is None or not self._takes(file.stat().st_size):
                return ""
            data = file.read_bytes()
        except OSError:
            return ""
        start, end = sample.span
        part = f"#t={start:g}" + (f",{end:g}" if end is not None else "") if start or end is not None else ""
        return _address(data, "video/mp4") + part

    def frames(self, sample: Sample, frames: int, trace: Trace) -> list[Frame]:
        """Frames with the visual tokens that the draft saw. Raises BadVideo for a file that is gone or cannot be read,
        and ValueError where the run does not say what was kept, or the page is full."""
        found = list[Frame]()
        for image, second in self._drawings.frames(sample, frames, trace):
            data = _jpeg(image)
            if not self._takes(len(data)):
                raise ValueError(f"the page holds its {PAGE_BYTES >> 20} MiB of clips and frames already")
            found.append(Frame(address=_address(data, "image/jpeg"), second=second))
        return found

    def _takes(self, size: int) -> bool:
        """Whether there is room for so many bytes, which are then taken."""
        fits = size <= self.left
        self.left -= size if fits else 0
        return fits


def was_replaced(record: Record) -> bool:
    """Whether another file now stands under the video's name than when it was decoded."""
    now = file_stamp(record.sample.video)
    return bool(now and record.video_stamp and now != record.video_stamp)


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=80)
    return stream.getvalue()


def _address(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
