"""What every reader of videos shares: which frames are taken, and how a file is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsd.types import SampleError


class BadVideo(SampleError):  # noqa: N818 - a name, not a category
    """A file that cannot be read as a video; the message names the file and the reason."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[BadVideo], tuple[str, str]]:
        return BadVideo, (self.path, self.reason)  # two arguments: an error is rebuilt from one by default


class WrongFrames(Exception):  # noqa: N818 - a name, not a category
    """A reader that would not give the frames of the timetable, and why."""


def sample_indices(total: int, frames: int) -> NDArray[np.int64]:
    """Which of `total` frames are read: `frames` indices at even distance from the first to the last, both included,
    rounded to the nearest (int64, ascending, no repeats). One frame is the first; a shorter video gives all it has."""
    return np.linspace(0, total - 1, min(frames, total)).round().astype(np.int64)
