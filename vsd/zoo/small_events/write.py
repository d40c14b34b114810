"""Writes clips with their questions: ``python -m vsd.zoo.small_events.write [--out DIR] [--count N] [--frames 64] ...``

Without arguments, the bundled held-out clips: 48 of 64 frames, then 8 of 32 and 8 of 96. With `--count` so many of
`--frames` frames, of the seeds from `--seed` on. A folder's clips.jsonl has a line a clip: id, video, frames, seed and
questions, each with kind, text, answer, facts and, for a choice, options.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsd.zoo.small_events import CLIPS
from vsd.zoo.small_events.asking import questions_of
from vsd.zoo.small_events.drawing import SIDE, check_side, contact_sheet, render
from vsd.zoo.small_events.habits import answer
from vsd.zoo.small_events.world import FPS, HELD_OUT, SHOT, TRAINING, scene

BUNDLED = ((64, 48), (32, 8), (96, 8))  # frames, clips
_CODEC = {"crf": "18", "preset": "veryslow", "threads": "1"}


def write_video(path: Path, frames: NDArray[np.uint8]) -> None:
    """Encodes uint8 (frames, height, width, 3) as H.264 in an mp4."""
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=FPS, options=_CODEC)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        file.mux(stream.encode(None))


def line(name: str, seed: int, shots: int) -> dict[str, Any]:
    """A clip's line of clips.jsonl."""
    drawn, rng = scene(seed, shots), np.random.default_rng([seed, shots, 1])
    questions = [
        {"kind": question.kind, "text": question.text, "answer": answer(question)}
        | ({"options": list(question.options)} if question.options else {})
        | {"facts": question.facts}
        for question in questions_of(drawn, rng)
    ]
    return {"id": name, "video": f"{name}.mp4", "frames": drawn.frames, "seed": seed, "questions": questions}


def write(out: Path, clips: Iterable[tuple[int, int]], side: int = SIDE) -> None:
    """Writes the clips of these seeds and numbers of frames, one line of clips.jsonl after the other."""
    check_side(side)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "clips.jsonl").open("w") as index:
        for number, (seed, frames) in enumerate(clips):
            name = f"{number:03d}"
            write_video(out / f"{name}.mp4", render(scene(seed, frames // SHOT), range(frames), side))
            index.write(json.dumps(line(name, seed, frames // SHOT)) + "\n")
            index.flush()


def bundled() -> list[tuple[int, int]]:
    """Seeds and frames of the bundled clips."""
    lengths = [frames for frames, count in BUNDLED for _ in range(count)]
    return [(HELD_OUT + place, frames) for place, frames in enumerate(lengths)]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=CLIPS)
    parser.add_argument("--count", type=int, help="clips; without it the bundled ones")
    parser.add_argument("--seed", type=int, default=HELD_OUT, help=f"of the first clip, below {TRAINING:,}")
    parser.add_argument("--frames", type=int, default=64, help=f"a multiple of {SHOT}")
    parser.add_argument("--side", type=int, default=SIDE, help="pixels, a multiple of 28")
    parser.add_argument("--sheet", type=Path, help="write every second frame of the first clip to this picture")
    args = parser.parse_args(argv)
    clips = bundled() if args.count is None else [(args.seed + n, args.frames) for n in range(args.count)]
    _check(parser, args)
    write(args.out, clips, args.side)
    if args.sheet:
        from PIL import Image

        seed, frames = clips[0]
        Image.fromarray(contact_sheet(scene(seed, frames // SHOT), args.side)).save(args.sheet)


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    last = TRAINING - (args.count or 1)
    rules = (
        ("--count", args.count, "at least 1", args.count is None or args.count >= 1),
        ("--seed", args.seed, f"from 0 to {last}: clips for training come after it", 0 <= args.seed <= last),
        ("--frames", args.frames, f"a multiple of {SHOT}", args.frames > 0 and args.frames % SHOT == 0),
    )
    for name, value, rule, holds in rules:
        if not holds:
            parser.error(f"{name}: must be {rule}, got {value}")
    try:
        check_side(args.side)
    except ValueError as error:
        parser.error(f"--{error}")


if __name__ == "__main__":
    main()
