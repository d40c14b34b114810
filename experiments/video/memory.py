"""What does scaling while decoding save, and does it change a pixel? ``python -m experiments.video.memory``

1. Peak memory of a fresh process that reads 512 frames of a 720p film, unscaled and scaled to what the processors of
   the bundled pairs and of Qwen2.5-VL (transformers' defaults) will want.
2. Peak memory of a whole run on that film, all its processes together, now and at a commit before.
3. The pixels that the models get of frames scaled one by one, against those that their processors scale.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import torch
from transformers import Qwen2VLVideoProcessor

from experiments.common import FAMILIES, TARGETS, bundled, setting, table
from experiments.video.ffmpeg import versions
from experiments.video.made import film
from vsd.models import VideoLM
from vsd.models.base import chat
from vsd.models.scaling import Scaling
from vsd.types import Video
from vsd.video import read

ROOT = Path(__file__).parents[2]
BEFORE = "440bac4"  # the last commit whose frames are kept at full size until the processor
HEIGHT, SECONDS, FRAMES = 720, 60, 512
REAL = "Qwen2.5-VL"
MOST = {"qwen2_5_vl": FRAMES, "llava_onevision": 128}  # frames of a run: of more the context has no room
SIZES = ((360, 640), (720, 1280), (1080, 1920), (639, 357), (131, 300), (500, 500), (1001, 333), (72, 2000))
COUNTS = (1, 2, 5, 16)
MAX_PIXELS = (None, 20 * 784)
_FEW = 16  # frames, which hardly count beside the models and the libraries
_TICK_S = 0.02


def model_of(name: str, max_pixels: int | None = None) -> VideoLM:
    """A bundled target; for Qwen2.5-VL the bundled one with the real one's video processor."""
    own = bundled(FAMILIES[0] if name == REAL else name, "target").load()
    if name == REAL:
        own.processor.video_processor = Qwen2VLVideoProcessor()
    return type(own)(own.model, own.processor, name=own.name, max_pixels=max_pixels)


def reading(who: str, file: Path, frames: int) -> dict[str, Any]:
    """What this process holds before it reads, and at most meanwhile, in MB; the size of the frames."""
    scaling = None if who == "none" else Scaling(viewers=[model_of(who).viewer])
    before = _status("VmRSS")
    shape = read(file, frames, scaling=scaling).frames.shape
    return {"before": before, "peak": _status("VmHWM"), "shape": shape}


def reading_row(who: str, file: Path, frames: int) -> list[object]:
    """The same, of a fresh process."""
    command = [sys.executable, "-m", "experiments.video.memory", "--reading", who, "--film", str(file)]
    done = subprocess.run([*command, "--frames", str(frames)], capture_output=True, check=True, cwd=ROOT)
    said = json.loads(done.stdout)
    count, height, width, _ = said["shape"]
    size = count * height * width * 3 / 1e6
    return [who, f"{width}x{height}", *(f"{value:.0f}" for value in (size, said["before"], said["peak"]))]


def run_row(tree: Path, name: str, family: str, file: Path, frames: int) -> list[object]:
    """The peak of a whole run of the code in a folder."""
    dials = [f"target={TARGETS[family]}", "data=folder", f"data.path={file}", f"frames={frames}", "limit=1"]
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "run.py", *dials, "max_new_tokens=8", f"out={out}/run"]
        environment = os.environ | {"PYTHONPATH": str(tree)}
        silent = subprocess.DEVNULL
        run = subprocess.Popen(command, cwd=tree, env=environment, stdout=silent, stderr=silent)
        peak = 0.0
        while run.poll() is None:
            peak = max(peak, sum(map(_proportional, _tree(run.pid))))
            sleep(_TICK_S)
        answers = len(Path(out, "run", "samples.jsonl").read_text().splitlines())
    return [name, TARGETS[family], frames, answers, f"{peak:.0f}"]


def pixel_rows() -> Iterator[list[object]]:
    """How many videos the scaling takes, and how many of them give the model other pixels."""
    random = np.random.default_rng(0)
    for name in (*FAMILIES, REAL):
        for most in MAX_PIXELS if name != "llava_onevision" else (None,):
            model = model_of(name, most)
            cases = scaled = differ = 0
            for height, width in SIZES:
                for count in COUNTS:
                    video = _noise(random, count, height, width)
                    small = _scaled(model, video)
                    cases += 1
                    if small is not None:
                        scaled += 1
                        differ += not torch.equal(_handed(model, video), _handed(model, small))
            yield [name, "–" if most is None else most, cases, scaled, differ]


def _noise(random: np.random.Generator, count: int, height: int, width: int) -> Video:
    """Noise on the left, a slope on the right."""
    frames = random.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    frames[:, :, width // 2 :] = np.linspace(0, 255, width - width // 2, dtype=np.uint8)[:, None]
    return Video(frames=frames, timestamps=np.arange(count) / 2)


def _scaled(model: VideoLM, video: Video) -> Video | None:
    scale = Scaling(viewers=[model.viewer])(*video.frames.shape[:3])
    if scale is None:
        return None
    return Video(frames=np.stack([scale(frame) for frame in video.frames]), timestamps=video.timestamps, fitted=True)


def _handed(model: VideoLM, video: Video) -> torch.Tensor:
    pixels: torch.Tensor = model._inputs(video, chat(model.processor, "?"))["pixel_values_videos"]
    return pixels


def _status(name: str) -> float:
    """A line of this process's status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e6


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has ended
            found += [each for child in file.read_text().split() for each in _tree(int(child))]
    return found


def _proportional(pid: int) -> float:
    """What a process holds, its part of what it shares with others, in MB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:")), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--before", default=BEFORE, metavar="COMMIT")
    parser.add_argument("--film", type=Path, help="default: 60 seconds of 720p, generated")
    parser.add_argument("--reading", metavar="WHO", help=argparse.SUPPRESS)  # what a fresh process does
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.reading:
        print(json.dumps(reading(args.reading, args.film, args.frames)))
        return
    print(setting(), versions(), f"{args.frames} frames of {HEIGHT}p.\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = args.film or film(folder, HEIGHT, SECONDS)
        rows = [reading_row(who, file, args.frames) for who in ("none", *FAMILIES, REAL)]
        print(table(["scaled for", "frames are", "all, MB", "before, MB", "peak, MB"], rows), "\n", flush=True)
        (before := folder / "before").mkdir()
        archive = subprocess.run(["git", "archive", args.before], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", str(before)], input=archive.stdout, check=True)
        cases = [(args.before, before, None), ("now", ROOT, None), ("now", ROOT, _FEW)]
        rows = [
            run_row(tree, label, family, file, frames or min(args.frames, MOST[family]))
            for family in FAMILIES
            for label, tree, frames in cases
        ]
        print(table(["code", "target", "frames", "answers", "peak of all processes, MB"], rows), "\n", flush=True)
    print(table(["processor", "max_pixels", "videos", "scaled", "other pixels"], pixel_rows()))


if __name__ == "__main__":
    main()
