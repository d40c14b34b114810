"""Is the baseline honest? ``python -m experiments.baseline.against_generate``

Decodes the 64 held-out clips with `parallelism=autoregressive` and with transformers' own greedy `generate`, in turn,
and compares tokens and speed. Each side is timed from frames to the last token, processor included.
"""

from __future__ import annotations

import argparse
import time

import torch

from experiments.common import FAMILIES, clips, setting, table
from vsd.engine import Engine
from vsd.models import load
from vsd.parallelism import Autoregressive
from vsd.types import Video


class Generate:
    """transformers' generate on a stock checkpoint, given the same frames and the same chat turn."""

    def __init__(self, path: str, max_new_tokens: int) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        from vsd.models.checkpoint import resolve

        folder = resolve(path)
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = AutoProcessor.from_pretrained(folder)
        self.max_new_tokens = max_new_tokens

    @torch.inference_mode()
    def run(self, video: Video, question: str) -> tuple[int, ...]:
        content = [{"type": "video"}, {"type": "text", "text": question}]
        turn = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        count = len(video.frames)
        inputs = self.processor(
            text=[turn],
            videos=[torch.from_numpy(video.frames).permute(0, 3, 1, 2)],
            video_metadata=[{"fps": video.fps, "total_num_frames": count, "frames_indices": list(range(count))}],
            do_sample_frames=False,
            return_tensors="pt",
        )
        output = self.model.generate(**inputs, do_sample=False, max_new_tokens=self.max_new_tokens)
        return tuple(output[0, inputs["input_ids"].shape[1] :].tolist())


def compare(family: str, weights: str, frames: int, max_new_tokens: int, limit: int | None) -> list[object]:
    path = f"{weights}{family}/target"
    engine = Engine(target=load(path), parallelism=Autoregressive(), max_new_tokens=max_new_tokens)
    stock = Generate(path, max_new_tokens)
    seconds, tokens, mismatched = [0.0, 0.0], [0, 0], 0
    samples = clips(frames, limit)
    stock.run(samples[0][1], samples[0][0].question)  # warm both
    engine.run(samples[0][1], samples[0][0].question)
    for number, (sample, video) in enumerate(samples):
        found: list[tuple[int, ...]] = [(), ()]
        for side in (0, 1) if number % 2 else (1, 0):  # in turn, so that neither always runs on warmer hardware
            start = time.perf_counter()
            found[side] = engine.run(video, sample.question).tokens if side == 0 else stock.run(video, sample.question)
            seconds[side] += time.perf_counter() - start
            tokens[side] += len(found[side])
        mismatched += found[0] != found[1]
    ours, theirs = (count / spent for count, spent in zip(tokens, seconds, strict=True))
    return [family, len(samples), mismatched, ours, theirs, ours / theirs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="zoo:", help="prefix of the checkpoints' paths")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--limit", type=int)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [compare(family, args.weights, args.frames, args.max_new_tokens, args.limit) for family in FAMILIES]
    print(setting(), f"One thread, {args.frames} frames.\n")
    print(table(["target", "clips", "mismatched", "vsd tokens/s", "generate tokens/s", "vsd / generate"], rows))


if __name__ == "__main__":
    main()
