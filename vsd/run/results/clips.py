"""What is shown of a sample's video: the clip itself where a browser plays it, and frames with the kept tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vsd.run.results.picture import kept_cells, overlay, shown_at, spread
from vsd.types import Sample, Span, Trace, Video
from vsd.video import BadVideo, read
from vsd.video.container import opened

CLIP_BYTES = 1 << 20  # of one clip's file
FRAMES = 8  # of a sample
_WIDTH = 320  # pixels of a frame
_PLAYABLE = frozenset({"h264", "vp9", "av1"})  # what every browser plays of an mp4


def playable(sample: Sample) -> Path | None:
    """The video's file; None where it is gone, larger than `CLIP_BYTES`, or of a kind that browsers do not play."""
    file = Path(sample.video)
    try:
        with opened(file) as (container, stream):
            plays = "mp4" in container.format.name and stream.codec_context.name in _PLAYABLE
        return file if plays and file.stat().st_size <= CLIP_BYTES else None
    except (BadVideo, OSError):
        return None


@dataclass
class Drawings:
    """Frames with what a draft saw. A video is read once for all runs that show it."""

    _read: dict[tuple[str, Span, int], Video | BadVideo] = field(default_factory=dict)

    def frames(self, sample: Sample, frames: int, trace: Trace) -> Iterator[tuple[NDArray[np.uint8], float]]:
        """At most `FRAMES` pictures, (height, width, 3), each with its second. Raises BadVideo for a file that is gone
        or cannot be read, and ValueError where the run does not say what was kept."""
        grid = trace.grid
        if not grid.tokens:
            raise ValueError("the run does not say what was kept")
        video = self._video(sample, frames)
        kept = kept_cells(grid, trace.kept_K or range(grid.tokens))
        for time in spread(grid, FRAMES):
            place = shown_at(video, grid, time)
            drawn = overlay(_small(video.frames[place]), grid, kept[time], framed=not kept.all())
            yield (drawn * 255).round().astype(np.uint8), float(video.timestamps[place])

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


def _small(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(frame)
    image.thumbnail((_WIDTH, 2 * _WIDTH))
    return np.asarray(image)
