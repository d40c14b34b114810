"""Frames by decord, for files that it reads right.

It knows of no edit list, some containers it reads wrongly or for ever (.ts, .avi, .mpg), and where it enters an open
group of pictures it shows other frames than were asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vsd.video.base import WrongFrames
from vsd.video.timetable import Alive, Timetable, silent

_FORMATS = frozenset({"mp4", "matroska", "flv"})  # mov and webm go by the same names
_TOLERANCE_S = 1e-3  # decord keeps its times in single precision


def frames(table: Timetable, indices: Sequence[int], alive: Alive = silent) -> Iterator[NDArray[np.uint8]]:
    """The RGB pixels (height, width, 3) of these frames of the timetable. Raises WrongFrames unless decord has the same
    frames at the same times."""
    import decord

    if not table.formats & _FORMATS:
        raise WrongFrames("decord is right for mp4, mov, mkv, webm and flv only")
    if not table.plain:
        raise WrongFrames("decord is wrong where there are edit lists, turned pictures, several streams or open GOPs")
    decord.logging.set_level(decord.logging.FATAL)  # its reasons reach the user through WrongFrames
    try:
        # One thread: several make the frames of some damaged files depend on timing.
        reader = decord.VideoReader(str(table.file.absolute()), ctx=decord.cpu(0), num_threads=1)
        timestamps_N = np.asarray(reader.get_frame_timestamp(range(len(reader))))[:, 0]
        if len(reader) != len(table) or np.abs(timestamps_N - table.timestamps_N).max() > _TOLERANCE_S:
            raise WrongFrames(f"decord finds {len(reader)} frames of {len(table)}, or other times of them")
        for index in indices:
            yield reader.get_batch([index]).asnumpy()[0]
            alive()
    except (RuntimeError, IndexError, decord.DECORDError) as error:
        raise WrongFrames("decord cannot decode it") from error
