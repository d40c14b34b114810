"""What the ffmpeg program shows of a video, small enough to keep: `files/right.npz` holds it for the files beside it.

`python -m experiments.video.against_ffmpeg tests/video/files --write tests/video/files/right.npz` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILES = Path(__file__).parent / "files"
SAMPLED = 16  # frames
_SIDE = 8  # of a thumbnail


@dataclass(frozen=True, kw_only=True)
class Right:
    """How many frames a file has and their size; of the SAMPLED ones (see `vsd.video.sample_indices`) the seconds and
    thumbnails. `stamped` says whether the file holds times of presentation; FFmpeg makes them up for the others."""

    count: int
    height: int
    width: int
    stamped: bool
    seconds_S: NDArray[np.float64]
    thumbnails_S: NDArray[np.uint8]


def thumbnail(frame_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Its mean colours on a grid of 8 x 8 (uint8). What is left over at the right and at the bottom does not count."""
    height, width = (side // _SIDE for side in frame_HWC.shape[:2])
    blocks = frame_HWC[: height * _SIDE, : width * _SIDE].reshape(_SIDE, height, _SIDE, width, 3)
    small: NDArray[np.uint8] = blocks.mean((1, 3)).round().astype(np.uint8)
    return small


def save(file: Path, found: Mapping[str, Right]) -> None:
    """Write what is known of each file."""
    all_ = list(found.values())
    np.savez_compressed(
        file,
        name=np.array(list(found)),
        size=np.array([(each.count, each.height, each.width) for each in all_]),
        stamped=np.array([each.stamped for each in all_]),
        sampled=np.array([len(each.seconds_S) for each in all_]),
        seconds=np.concatenate([each.seconds_S for each in all_]),
        thumbnails=np.concatenate([each.thumbnails_S for each in all_]),
    )


def load(file: Path = FILES / "right.npz") -> dict[str, Right]:
    """What is known of each file, by its name."""
    with np.load(file) as stored:
        kept = dict(stored)
    ends = kept["sampled"].cumsum()[:-1]
    parts = zip(
        kept["name"].tolist(),
        kept["size"].tolist(),
        kept["stamped"].tolist(),
        np.split(kept["seconds"], ends),
        np.split(kept["thumbnails"], ends),
        strict=True,
    )
    return {
        name: Right(
            count=count, height=height, width=width, stamped=stamped, seconds_S=seconds, thumbnails_S=thumbnails
        )
        for name, (count, height, width), stamped, seconds, thumbnails in parts
    }
