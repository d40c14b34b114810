"""How a stored picture is turned and mirrored to be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import VideoFrame


class Orientation(NamedTuple):
    """Rows and columns exchanged first, then the order of the rows and of the columns turned round."""

    transpose: bool = False
    rows: bool = False
    columns: bool = False

    @property
    def upright(self) -> bool:
        return not any(self)

    @property
    def mirrored(self) -> bool:
        """Whether the picture is shown as in a mirror, whatever else."""
        return sum(self) % 2 == 1

    def apply(self, pixels_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture as it is shown, contiguous in memory."""
        if self.transpose:
            pixels_HWC = pixels_HWC.swapaxes(0, 1)
        if self.rows:
            pixels_HWC = pixels_HWC[::-1]
        if self.columns:
            pixels_HWC = pixels_HWC[:, ::-1]
        return np.ascontiguousarray(pixels_HWC)


def orientation(frame: VideoFrame) -> Orientation:
    """What the display matrix of a decoded frame says; upright without one.

    A matrix of a turn by another angle than a multiple of 90 degrees counts as the nearest such turn.
    """

    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation()
    a, b, _, c, d, *_ = np.frombuffer(
        cast("bytes", matrix), dtype=np.int32
    ).tolist()  # (x, y) is shown at (ax + cy, bx + dy)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(rows=d < 0, columns=a < 0)
    return Orientation(transpose=True, rows=b < 0, columns=c < 0)
