"""How fast are videos read, and by whom? ``python -m experiments.video.speed``

30 seconds of generated film in each size; 16 and 128 frames of it. Every reader on one thread, in turn, in one run:

- auto: `vsd.video.read`, which is `video.reader=pyav` too
- apart: the same in a process of its own, as a run reads
- PyAV: a plain loop over all frames up to the last one wanted
- decord: `VideoReader(...).get_batch(indices)`
- torchcodec: `VideoDecoder(...).get_frames_at(indices)`, if it is installed

The pixels of each are compared with those of the ffmpeg program: one that is not right is not the faster one.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import av
import numpy as np
import torch
from numpy.typing import NDArray

from experiments.common import setting, table
from experiments.video.against_ffmpeg import chosen
from experiments.video.ffmpeg import listing, pixels, versions
from experiments.video.made import FPS, film
from vsd.video import read, sample_indices
from vsd.video.apart import ReaderProcess

HEIGHTS, COUNTS, SECONDS = (360, 720, 1080), (16, 128), 30
RIGHT = 4.0  # of 255: the most that a frame's mean may be off
_OURS = ("auto", "apart")

Reader = Callable[[Path, NDArray[np.int64]], NDArray[np.uint8]]


def by_vsd(file: Path, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    return read(file, len(indices)).frames


def by_process(process: ReaderProcess, file: Path, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    return process.read(file, len(indices)).frames


def by_pyav(file: Path, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    with av.open(str(file)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = enumerate(container.decode(video=0))
        wanted, last, found = set(indices.tolist()), int(indices[-1]), []
        for index, frame in frames:
            if index in wanted:
                found.append(frame.to_ndarray(format="rgb24"))
            if index == last:
                break
    return np.stack(found)


def by_decord(file: Path, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    import decord

    frames: NDArray[np.uint8] = (
        decord.VideoReader(str(file), ctx=decord.cpu(0), num_threads=1).get_batch(indices).asnumpy()
    )
    return frames


def by_torchcodec(file: Path, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(file), dimension_order="NHWC", num_ffmpeg_threads=1)
    frames: NDArray[np.uint8] = decoder.get_frames_at(indices.tolist()).data.numpy()
    return frames


def readers(process: ReaderProcess) -> dict[str, Reader]:
    """Those that can be had here."""
    found: dict[str, Reader] = {"auto": by_vsd, "apart": partial(by_process, process), "PyAV": by_pyav}
    others = {"decord": by_decord, "torchcodec": by_torchcodec}
    return found | {name: reader for name, reader in others.items() if importlib.util.find_spec(name)}


def off(file: Path, indices: NDArray[np.int64], known: dict[str, Reader]) -> dict[str, float]:
    """How far each reader's worst frame is from ffmpeg's, on average over its pixels."""
    listed = listing(file)
    assert listed is not None
    right = list(chosen(pixels(file, listed), indices))
    found = {}
    for name, reader in known.items():
        ours = zip(reader(file, indices), right, strict=True)
        found[name] = max(float(np.abs(a.astype(np.int16) - b).mean()) for a, b in ours)
    return found


def rounds(file: Path, indices: NDArray[np.int64], known: dict[str, Reader], repeats: int) -> dict[str, list[float]]:
    """The seconds that each reader takes, in every round; the order is turned round from one to the next."""
    spent: dict[str, list[float]] = {name: [] for name in known}
    for number in range(repeats):
        for name in list(known)[:: 1 if number % 2 else -1]:
            began = perf_counter()
            known[name](file, indices)
            spent[name].append(perf_counter() - began)
    return spent


def ratio(spent: dict[str, list[float]], ours: str, others: Sequence[str]) -> str:
    """Our seconds by those of the faster other one: the median and the range over the rounds."""
    rival = min(others, key=lambda name: median(spent[name]))
    each = sorted(a / b for a, b in zip(spent[ours], spent[rival], strict=True))
    return f"{median(each):.2f} ({each[0]:.2f} to {each[-1]:.2f}), {rival}"


def rows(folder: Path, height: int, known: dict[str, Reader], repeats: int) -> list[list[object]]:
    """The two rows of a size."""
    file = film(folder, height, SECONDS)
    found = []
    for count in COUNTS:
        indices = sample_indices(SECONDS * FPS, count)
        apart = off(file, indices, known)
        spent = rounds(file, indices, known, repeats)
        right = [name for name in known if name not in _OURS and apart[name] < RIGHT]
        speeds = [f"{count / median(spent[name]):.1f}, off {apart[name]:.2f}" for name in known]
        rate = file.stat().st_size * 8 / SECONDS / 1e6
        row = [f"{height}p", f"{rate:.1f}", count, *speeds]
        found.append([*row, *(ratio(spent, name, right) for name in _OURS)])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--films", type=Path, help="a folder that keeps the films; default: a temporary one")
    args = parser.parse_args()
    torch.set_num_threads(1)
    process = ReaderProcess()
    known = readers(process)
    if args.films:
        args.films.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        found = [row for height in HEIGHTS for row in rows(args.films or Path(temporary), height, known, args.rounds)]
    process.close()
    print(setting(), versions(), f"Medians of {args.rounds} rounds.\n")
    head = ["film", "Mbit/s", "frames", *(f"{name}, frames/s" for name in known)]
    print(table([*head, *(f"seconds of {name} / faster right one" for name in _OURS)], found))


if __name__ == "__main__":
    main()
