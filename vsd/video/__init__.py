"""Video files → frames, those that FFmpeg shows. `reading` is where to begin."""

from vsd.video.base import BadVideo, sample_indices
from vsd.video.reading import READERS, measure, read

__all__ = ["READERS", "BadVideo", "measure", "read", "sample_indices"]
