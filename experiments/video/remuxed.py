"""Does the container matter? ``python -m experiments.video.remuxed``

The held-out clips are put into other containers, their packets untouched (webm takes no H.264: there they are
encoded again, in VP9 at high quality). Of each container: the frames and seconds beside the .mp4's, and the share of
facts right in the target's descriptions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from experiments.common import FAMILIES, Clips, arguments, bundled, setting, table
from experiments.video.ffmpeg import encode, versions
from vsd.data.small_events import SmallEvents
from vsd.engine import Engine
from vsd.parallelism import Autoregressive
from vsd.types import Sample
from vsd.video import measure, read

COPY = ("-c", "copy")
VP9 = ("-c:v", "libvpx-vp9", "-crf", "8", "-b:v", "0", "-row-mt", "1")
CONTAINERS = {"mp4": COPY, "avi": COPY, "ts": COPY, "mkv": COPY, "mov": COPY, "webm": VP9}


def remuxed(samples: list[Sample], container: str, folder: Path) -> Iterator[Sample]:
    """The samples with their clips in another container."""
    for sample in samples:
        file = folder / f"{Path(sample.video).stem}.{container}"
        encode("-i", sample.video, *CONTAINERS[container], file)
        yield replace(sample, video=str(file))


def against_mp4(there: list[Sample], here: list[Sample], frames: int) -> list[object]:
    """How many clips have another number of frames or of sampled ones, and the largest differences of seconds (of their
    distances from the first) and of pixels (mean over a clip)."""
    counts, seconds, pixels, firsts = 0, 0.0, 0.0, 0.0
    for mp4, other in zip(there, here, strict=True):
        if measure(mp4.video) != measure(other.video):
            counts += 1
            continue
        right, found = read(mp4.video, frames), read(other.video, frames)
        spans = [video.timestamps - video.timestamps[0] for video in (right, found)]
        seconds = max(seconds, float(np.abs(spans[0] - spans[1]).max()))
        pixels = max(pixels, float(np.abs(right.frames.astype(np.int16) - found.frames).mean()))
        firsts = max(firsts, float(found.timestamps[0]))
    return [counts, firsts, seconds, pixels]


def facts(engine: Engine, data: SmallEvents, samples: list[Sample]) -> tuple[int, int]:
    """How many facts the answers have right, and how many were asked for."""
    right = asked = 0.0
    for sample in samples:
        text = engine.text(engine.run(read(sample.video, data.frames or 0), sample.question))
        score = data.score(sample, text)["facts"]
        right, asked = right + score.right, asked + score.asked
    return int(right), int(asked)


def main() -> None:
    args = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    clips = Clips.of(args)
    samples = clips.samples
    targets = {name: bundled(name, args.target, args.weights).load() for name in args.family or FAMILIES}
    engines = {name: Engine(target=target, parallelism=Autoregressive()) for name, target in targets.items()}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for container in CONTAINERS:
            files = list(remuxed(samples, container, Path(folder)))
            found = [facts(engine, clips.data, files) for engine in engines.values()]
            shares = [f"{right}/{asked} = {right / asked:.1%}" for right, asked in found]
            rows.append([container, len(files), *against_mp4(samples, files, args.frames), *shares])
    print(setting(), versions(), clips, "\n")
    head = ["container", "clips", "other counts", "first second", "seconds off", "pixels off"]
    print(table([*head, *(f"facts right, {name}" for name in engines)], rows))


if __name__ == "__main__":
    main()
