"""The frames of the video, as they were read."""

from __future__ import annotations

from vsd.evidence.base import Probe
from vsd.types import Frames


class FramesProbe(Probe):
    """ "frames": the video's uint8 frames and their timestamps, and where the visual tokens lie in them. There with the
    encoded prompt; nothing is copied. They may have been scaled to the models' size while they were read
    (`Video.fitted`)."""

    kind = "frames"

    def value(self) -> Frames:
        reading = self.reading
        assert reading.video is not None, "the prompt alone is known, not its video"
        return Frames(video=reading.video, grid=reading.prompt.grid, per_step=reading.frames_per_step)
