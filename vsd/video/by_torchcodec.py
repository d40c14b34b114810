"""Frames by torchcodec, where it is installed and finds the same frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vsd.utils.validation import first_line
from vsd.video.base import WrongFrames
from vsd.video.timetable import Alive, Timetable, silent

_TOLERANCE_S = 1e-3


def frames(table: Timetable, indices: Sequence[int], alive: Alive = silent) -> Iterator[NDArray[np.uint8]]:
    """The RGB pixels (height, width, 3) of these frames of the timetable. Raises WrongFrames unless torchcodec has the
    same number of frames, and these at the same times."""
    from torchcodec.decoders import VideoDecoder

    if table.turned.mirrored:
        raise WrongFrames("torchcodec does not know its display matrix")
    try:
        decoder = VideoDecoder(
            str(table.file.absolute()),
            stream_index=table.stream,
            dimension_order="NHWC",
            num_ffmpeg_threads=1,
            seek_mode="exact",
        )
        if len(decoder) != len(table):
            raise WrongFrames(f"torchcodec finds {len(decoder)} frames of {len(table)}")
        for index in indices:
            frame = decoder.get_frame_at(index)
            if abs(frame.pts_seconds - table.timestamps_N[index]) > _TOLERANCE_S:
                raise WrongFrames(f"torchcodec shows frame {index} at {frame.pts_seconds:.3f} s")
            yield frame.data.numpy()
            alive()
    except (RuntimeError, ValueError, IndexError) as error:
        raise WrongFrames(f"torchcodec: {first_line(error)}") from error
