"""Is below float64 every difference a near-tie? ``python -m experiments.near_ties.measure``

In each dtype, on the held-out clips with both bundled pairs and on random tiny pairs: how many lossless answers differ
from the target's own, and what the audit says of each (see `vsd.metrics.audit`).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from experiments.common import Clips, arguments, pairs, setting, table
from tests.zoo_in_code import save_llava, save_qwen
from vsd.drafters import Chain, Drafter
from vsd.drafters.tree import Tree
from vsd.engine import Engine
from vsd.metrics.audit import Audit
from vsd.models import VideoLM, load
from vsd.pruners.hippo import Hippo
from vsd.types import Dtype, Video

DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16")
QUESTIONS = tuple(letter * count for count, letter in enumerate("abcdefgh", start=1))
DRAFTERS: dict[str, Drafter] = {"chain": Chain(), "tree": Tree()}

Cases = Iterable[tuple[Video, str]]


def audited(
    target: VideoLM, draft: VideoLM, drafter: Drafter, cases: Cases, max_new_tokens: int = 128
) -> tuple[int, list[Audit]]:
    """How many answers were decoded, and what the audit says of those that differ."""
    pruner = Hippo(ratio=0.9)
    engine = Engine(target=target, draft=draft, drafter=drafter, pruner=pruner, max_new_tokens=max_new_tokens)
    alone = engine.baseline()
    count, found = 0, list[Audit]()
    for video, question in cases:
        ours, baseline = engine.run(video, question).tokens, alone.run(video, question).tokens
        count += 1
        if ours != baseline:
            found.append(engine.audit(video, question, ours, baseline))
    return count, found


def row(name: str, dtype: Dtype, drafter: str, count: int, found: list[Audit]) -> list[object]:
    near = sum(each.explained for each in found)
    steps = [each.gap / each.step for each in found if each.gap is not None]
    worst = f"{max(steps):.2f}" if steps else "–"
    return [name, dtype, drafter, count, len(found), near, len(found) - near, worst]


def on_clips(dtype: Dtype, args: argparse.Namespace) -> Iterator[list[object]]:
    """The rows of the bundled pairs."""
    cases = [(video, sample.question) for sample, video in Clips.of(args)]
    for family, target, draft in pairs(args, dtype=dtype):
        loaded = draft.load()
        for name, drafter in DRAFTERS.items():
            yield row(f"{family}, {args.draft}", dtype, name, *audited(target, loaded, drafter, cases))


def on_random_pairs(dtype: Dtype, folder: Path, pairs: int) -> Iterator[list[object]]:
    """The rows of pairs with random weights, which are unsure of every token."""
    frames = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    cases = [(Video(frames=frames, timestamps=np.arange(6) / 2), question) for question in QUESTIONS]
    for family, save in {"qwen2_5_vl": save_qwen, "llava_onevision": save_llava}.items():
        for name, drafter in DRAFTERS.items():
            total, every = 0, list[Audit]()
            for seed in range(pairs):
                paths = [folder / f"{family}-{seed}-{role}" for role in ("target", "draft")]
                for path, noise in zip(paths, (0.0, 0.01), strict=True):
                    if not path.exists():
                        save(path, seed=seed, noise=noise)
                target, draft = (load(str(path), dtype=dtype) for path in paths)
                target.eos = draft.eos = frozenset()
                count, found = audited(target, draft, drafter, cases, max_new_tokens=48)
                total, every = total + count, [*every, *found]
            yield row(f"{family}, random", dtype, name, total, every)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--pairs", type=int, default=4, help="random pairs of each family (default: 4)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(setting(), Clips.of(args), "HIPPO's pruning at 0.9.\n")
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            each
            for dtype in DTYPES
            for part in (on_clips(dtype, args), on_random_pairs(dtype, Path(folder), args.pairs))
            for each in part
        ]
    print(table(["pair", "dtype", "drafts", "answers", "differ", "near-ties", "unexplained", "widest, steps"], rows))


if __name__ == "__main__":
    main()
