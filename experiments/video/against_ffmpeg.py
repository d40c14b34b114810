"""Are the frames those that ffmpeg shows? ``python -m experiments.video.against_ffmpeg tests/video/files``

Every frame of each file, and 16 of them, against those of the ffmpeg program: their number, seconds, size and pixels;
whether reading twice gives the same; how long it takes; or the reason why a file is refused. One frame at a time is
held of each side, so that files of any size can be compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from experiments.common import setting, table
from experiments.video.ffmpeg import Listing, listing, pixels, versions
from tests.video.right import SAMPLED, Right, save, thumbnail
from vsd.types import Video
from vsd.video import READERS, BadVideo, read, sample_indices
from vsd.video.reading import Shown, stream

_ALL = 1 << 40
_HEAD = (
    "file",
    "frames",
    "ours",
    "size",
    "ours",
    "seconds off",
    "pixels off, 16",
    "pixels off, all",
    "twice the same",
    "s for 16",
    "s for all",
)


@dataclass
class Apart:
    """How far pixels are from ffmpeg's."""

    sum: float = 0.0
    count: int = 0
    most: int = 0

    def add(self, ours_HWC: NDArray[np.uint8], theirs_HWC: NDArray[np.uint8]) -> None:
        if ours_HWC.shape != theirs_HWC.shape:
            self.most, self.sum, self.count = 255, float("nan"), self.count + 1
            return
        difference = np.abs(ours_HWC.astype(np.int16) - theirs_HWC)
        self.sum += float(difference.mean())
        self.count += 1
        self.most = max(self.most, int(difference.max()))

    def __str__(self) -> str:
        return f"{self.sum / self.count:.2f}, at most {self.most}" if self.count else "–"


@dataclass
class Ours:
    """What `vsd.video` makes of a file when it reads all."""

    file: Path
    reader: str
    timestamps_N: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    spent: float = 0.0

    def frames(self) -> Iterator[NDArray[np.uint8] | None]:
        """The frames as they come; None says that all begins anew."""
        began = perf_counter()
        for event in stream(self.file, _ALL, reader=self.reader):
            self.spent += perf_counter() - began
            if isinstance(event, Shown):
                self.timestamps_N = event.timestamps
                yield None
            else:
                yield event
            began = perf_counter()


def compared(file: Path, reader: str) -> tuple[list[object], Right | None]:
    """The row of a file, and what ffmpeg says of it."""
    listed = listing(file)
    theirs = [file.name, 0, "–", "–", "–"] if listed is None else [file.name, len(listed), "–", _size(listed), "–"]
    right = right_of(file, listed) if listed else None
    began = perf_counter()
    try:
        video = read(file, SAMPLED, reader=reader)
        spent = perf_counter() - began
        again = read(file, SAMPLED, reader=reader)
    except BadVideo as error:
        return [*theirs, f"refused: {error.reason}", *["–"] * 3, perf_counter() - began, "–"], right
    if listed is None or right is None:
        return [*theirs[:2], len(video.frames), *["–"] * 6, spent, "–"], None
    same = np.array_equal(video.frames, again.frames) and np.array_equal(video.timestamps, again.timestamps)
    sampled = off_sampled(file, listed, video)
    ours, everything = off_all(file, listed, reader)
    count = len(ours.timestamps_N)
    size = "x".join(map(str, video.frames.shape[2:0:-1]))
    row = [file.name, len(listed), count, _size(listed), size, _seconds_off(ours.timestamps_N, listed)]
    return [*row, sampled, everything, "yes" if same else "NO", spent, ours.spent], right


def right_of(file: Path, listed: Listing) -> Right:
    """What ffmpeg says of a file."""
    indices = sample_indices(len(listed), SAMPLED)
    small = [thumbnail(frame) for frame in chosen(pixels(file, listed), indices)]
    return Right(
        count=len(listed),
        height=listed.height,
        width=listed.width,
        stamped=listed.stamped,
        seconds_S=listed.timestamps_N[indices],
        thumbnails_S=np.stack(small),
    )


def off_sampled(file: Path, listed: Listing, video: Video) -> Apart:
    """The pixels of our sampled frames."""
    found = Apart()
    theirs = chosen(pixels(file, listed), sample_indices(len(listed), SAMPLED))
    for ours_HWC, theirs_HWC in zip(video.frames, theirs, strict=False):
        found.add(ours_HWC, theirs_HWC)
    return found


def off_all(file: Path, listed: Listing, reader: str) -> tuple[Ours, Apart]:
    """The seconds and the pixels of all frames."""
    ours, found = Ours(file, reader), Apart()
    theirs: Iterator[NDArray[np.uint8]] = iter(())
    for frame in ours.frames():
        if frame is None:
            found, theirs = Apart(), pixels(file, listed)
        elif (other := next(theirs, None)) is not None:
            found.add(frame, other)
    return ours, found


def chosen(
    frames: Iterable[NDArray[np.uint8]], indices: Sequence[int] | NDArray[np.int64]
) -> Iterator[NDArray[np.uint8]]:
    """Those of ascending indices."""
    wanted = set(map(int, indices))
    return (frame for index, frame in enumerate(frames) if index in wanted)


def _size(listed: Listing) -> str:
    return f"{listed.width}x{listed.height}"


def _seconds_off(ours_N: NDArray[np.float64], listed: Listing) -> str:
    if len(ours_N) != len(listed):
        return "–"
    off = f"{np.abs(ours_N - listed.timestamps_N).max():.4f}"
    return off if listed.stamped else f"{off}, the file has none"


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files named, and those of the folders named."""
    return list(chain.from_iterable(sorted(path.iterdir()) if path.is_dir() else [path] for path in paths))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="files, and folders of them")
    parser.add_argument("--write", type=Path, metavar="FILE.npz", help="what ffmpeg says of each file, for the tests")
    parser.add_argument("--reader", choices=READERS, default="auto")
    args = parser.parse_args()
    files = [file for file in files_of(args.paths) if file.suffix not in (".npz", ".md")]
    found = [compared(file, args.reader) for file in files]
    if args.write:
        save(args.write, {file.name: right for file, (_, right) in zip(files, found, strict=True) if right})
    print(setting(), versions(), f"video.reader={args.reader}.\n")
    print(table(_HEAD, [row for row, _ in found]))


if __name__ == "__main__":
    main()
