"""What the ffmpeg program shows of a file. Nothing here goes through PyAV."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_QUIET = ("-nostdin", "-hide_banner", "-copyts")
_FRAMES = ("-an", "-sn", "-dn", "-fps_mode", "passthrough")  # of the stream that ffmpeg itself takes, none made up
_BASE = re.compile(r"config in time_base: (\d+)/(\d+)")
_FRAME = re.compile(r" n: *\d+ pts: *(-?\d+|NOPTS) .* s:(\d+)x(\d+) ")
_UNSTAMPED = frozenset({"avi"})  # keeps frames in the order of decoding, and no time of any


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The second at which each frame is shown, in the file's own clock, and the size of the first. `even` says that all
    frames have that size; `stamped` that the seconds are the file's own, and not made up by FFmpeg."""

    timestamps_N: NDArray[np.float64]
    height: int
    width: int
    even: bool
    stamped: bool

    def __len__(self) -> int:
        return len(self.timestamps_N)


def listing(file: Path) -> Listing | None:
    """What ffmpeg shows of a file; None if it shows nothing."""
    # By number and time base: a time that ffmpeg prints has six digits, which is too few 7 hours into a recording.
    command = ["ffmpeg", *_QUIET, "-i", str(file), *_FRAMES, "-vf", "showinfo=checksum=0", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, check=False).stderr.decode(errors="replace")
    base = Fraction(1)
    seconds: list[float] = []
    sizes: list[tuple[int, int]] = []
    for line in said.splitlines():
        if found := _BASE.search(line):
            base = Fraction(int(found[1]), int(found[2]))
        elif found := _FRAME.search(line):
            seconds.append(float("nan") if found[1] == "NOPTS" else float(int(found[1]) * base))
            sizes.append((int(found[3]), int(found[2])))
    if not seconds:
        return None
    height, width = sizes[0]
    even = len(set(sizes)) == 1
    return Listing(timestamps_N=np.array(seconds), height=height, width=width, even=even, stamped=_stamped(file))


def pixels(file: Path, listed: Listing) -> Iterator[NDArray[np.uint8]]:
    """Its RGB frames (height, width, 3), one after the other, all of the size of the first."""
    scale = () if listed.even else ("-vf", f"scale={listed.width}:{listed.height}")
    command = ["ffmpeg", *_QUIET, "-i", str(file), *_FRAMES, *scale, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    shape = (listed.height, listed.width, 3)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        while len(content := process.stdout.read(int(np.prod(shape)))) == np.prod(shape):
            yield np.frombuffer(content, dtype=np.uint8).reshape(shape)
    finally:
        process.stdout.close()
        process.wait()


def encode(*arguments: str | Path) -> None:
    """Run ffmpeg to write a file. Raises CalledProcessError if it fails."""
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)], check=True)


def versions() -> str:
    """Those of the readers, and of ffmpeg."""
    said = subprocess.run(["ffmpeg", "-version"], capture_output=True, check=True).stdout.decode().split()[2]
    found = []
    for name in ("av", "decord", "torchcodec"):
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return ", ".join([*found, f"ffmpeg {said}"]) + "."


def _stamped(file: Path) -> bool:
    command = ["ffprobe", "-v", "quiet", "-of", "json", "-show_entries", "format=format_name:stream=start_time"]
    said = json.loads(subprocess.run([*command, str(file)], capture_output=True, check=True).stdout)
    return said["format"]["format_name"] not in _UNSTAMPED and any("start_time" in s for s in said["streams"])
