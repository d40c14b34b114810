"""What does each pruner keep? ``python -m experiments.kept_tokens.draw --clip 000 --family qwen2_5_vl --ratio 0.9``

Draws one clip and one question: a row of frames for the whole clip and for each pruner. Of a pruner's row the visual
tokens that the draft sees are bright, the others dark; what was asked for is outlined. Beside it stand how much of that
was kept, and how many draft tokens were accepted per round of this answer.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.common import ACCEPTED, Clips, arguments, event_tokens, pairs, pyplot, save, seen
from vsd.engine import Engine
from vsd.metrics import values_of
from vsd.metrics.record import Record
from vsd.models import VideoLM
from vsd.pruners import Pruner
from vsd.pruners.attention import Attention
from vsd.pruners.frame import Frame
from vsd.pruners.hippo import Hippo
from vsd.pruners.none import NoPruner
from vsd.pruners.random import Random
from vsd.pruners.specvlm import SpecVLM
from vsd.pruners.uniform import Uniform
from vsd.pruners.uv_prune import UVPrune
from vsd.pruners.window import Window
from vsd.run.results.picture import GAP, spread, strip
from vsd.run.task import sample_seed
from vsd.types import Grid, Sample, Video

KINDS: tuple[type[Pruner], ...] = (Attention, SpecVLM, Hippo, UVPrune, Random, Uniform, Frame, Window)
COLUMNS = 16  # frames of a row
LETTERS = 150  # of a line of text


@dataclass(frozen=True)
class Row:
    """A pruner's choice: the tokens kept, the share kept of those asked for, and what was accepted per round."""

    name: str
    kept_K: NDArray[np.int64]
    events: float
    accepted: float


@torch.inference_mode()
def watch(
    target: VideoLM, draft: VideoLM, sample: Sample, video: Video, ratio: float
) -> tuple[Grid, list[int], str, list[Row]]:
    """The grid, the tokens asked for, the target's answer, and a row for each pruner."""
    pruners = [NoPruner(ratio=0.0), *(kind(ratio=ratio) for kind in KINDS)]
    evidence = seen(target, sample, video, frozenset().union(*(pruner.needs for pruner in pruners)))
    event, rows, text = event_tokens(sample, evidence.grid, len(video.frames)), list[Row](), ""
    for pruner in pruners:
        engine = Engine(target=target, draft=draft, pruner=pruner)
        trace = engine.run(video, sample.question, seed=sample_seed(0, sample.id))
        kept_K = pruner.keep(evidence).numpy()
        share = float(np.isin(event, kept_K).mean()) if event else float("nan")
        name = type(pruner).__module__.split(".")[-1]
        values = values_of([Record(sample=sample, trace=trace)])
        rows.append(Row(name, kept_K, share, values.get(ACCEPTED, 0.0)))
        text = engine.text(trace)
    return evidence.grid, event, text, rows


def columns(grid: Grid, event: Sequence[int]) -> list[int]:
    """The tokens in time that are drawn: those that show what was asked for where they can."""
    return spread(grid, COLUMNS, sorted({token // (grid.h * grid.w) for token in event}))


def outline(axis: Any, grid: Grid, times: Sequence[int], event: Sequence[int], side: int) -> None:
    """A frame around each cell that shows what was asked for."""
    from matplotlib.patches import Rectangle

    cell = side / grid.h
    for token in event:
        time, place = divmod(token, grid.h * grid.w)
        if time in times:
            row, column = divmod(place, grid.w)
            corner = (times.index(time) * (side + GAP) + column * cell - 1, row * cell - 1)
            axis.add_patch(Rectangle(corner, cell, cell, fill=False, lw=1.1, ec="white"))
            axis.add_patch(Rectangle(corner, cell, cell, fill=False, lw=1.1, ec="red", ls=(0, (3, 3))))


def draw(lines: Sequence[str], video: Video, grid: Grid, event: Sequence[int], rows: Sequence[Row]) -> Any:
    """The figure; `lines` stand above it."""
    plt = pyplot()
    times, side = columns(grid, event), video.frames.shape[1]
    figure, axes = plt.subplots(len(rows), 1, figsize=(12.5, 0.72 * len(rows) + 0.95), squeeze=False)
    for axis, row in zip(axes[:, 0], rows, strict=True):
        axis.imshow(strip(video, grid, times, row.kept_K), interpolation="nearest", aspect="equal")
        outline(axis, grid, times, event, side)
        axis.set_axis_off()
        share = "the whole clip" if row.name == "none" else f"{row.events:.0%} of it kept"
        label = f"{row.name}\n{share}\n{row.accepted:.2f} accepted"
        axis.text(-0.008, 0.5, label, transform=axis.transAxes, ha="right", va="center", fontsize=8)
    head = "\n".join(textwrap.fill(line, LETTERS) for line in lines)
    figure.text(0.01, 0.995, head, va="top", fontsize=8.5)
    figure.subplots_adjust(left=0.115, right=0.995, bottom=0.005, top=1 - 0.9 / figure.get_figheight(), hspace=0.06)
    return figure


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--clip", default="000", help="id of a clip (default: 000)")
    parser.add_argument("--out", type=Path, default=Path("outputs/kept_tokens"), help="folder for the pictures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [(sample, video) for sample, video in Clips.of(args) if sample.id.split("-")[0] == args.clip]
    if not chosen:
        parser.error(f"--clip: must be a clip that is asked for {', '.join(args.ask)}, got {args.clip}")
    sample, video = chosen[0]
    for family, target, draft in pairs(args):
        grid, event, answer, rows = watch(target, draft.load(), sample, video, args.ratio)
        title = f"{family}, draft {args.draft}: {args.ratio:.0%} of {grid.tokens} visual tokens removed"
        lines = [title, f"Asked: {sample.question}", f"The target: {answer}"]
        figure = draw(lines, video, grid, event, rows)
        file = args.out / f"{family}.png"
        save(figure, file)
        print(f"{file}: {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
