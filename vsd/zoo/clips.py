"""Writes the held-out clips: ``python -m vsd.zoo.clips [--out DIR] [--count N]``.

Scene seeds from `HELD_OUT` on are used by nothing else, neither the tokenizer's texts nor training.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import numpy as np

from vsd.zoo import CLIPS, shapes, texts

HELD_OUT = 500_000


def write_video(path: Path, frames: np.ndarray, rate: Fraction) -> None:
    """Encodes uint8 (frames, height, width, 3) as H.264 in an mp4."""
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=rate, options={"crf": "18", "threads": "1"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        file.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=CLIPS)
    parser.add_argument("--count", type=int, default=64)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    times = (np.arange(shapes.CLIP_FRAMES) + 0.5) / shapes.CLIP_FRAMES
    rate = Fraction(shapes.CLIP_FRAMES) / Fraction(shapes.SECONDS)
    with (args.out / "clips.jsonl").open("w") as index:
        for number in range(args.count):
            scene, rng = shapes.scene(HELD_OUT + number), np.random.default_rng([HELD_OUT, number])
            name = f"{number:03d}.mp4"
            write_video(args.out / name, shapes.render(scene, times), rate)
            row = {
                "id": f"{number:03d}",
                "video": name,
                "question": texts.DESCRIBE,
                "reference": texts.describe(scene, rng),
                "facts": scene.facts,
                "questions": [texts.ask(scene, rng)._asdict() for _ in range(4)],
            }
            index.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
