"""One sample of a run, looked at: ``vsd show RUN [--sample ID]``

Both texts, which tokens were the draft's, which stand by a loose rule alone, how many were accepted in each round; and
a picture of the frames with the visual tokens that the draft saw. Examples:

  vsd show outputs/RUN                       the first sample
  vsd show outputs/RUN --sample 003-one      the one of this id
  vsd show outputs/RUN --out kept.png --frames 12
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.text import Text

from vsd.metrics.record import Record
from vsd.run.report.marks import marked
from vsd.run.report.printable import plain, printable
from vsd.run.results.picture import spread, strip
from vsd.run.results.pool import pooled
from vsd.run.results.run import Run, find_runs, load_run
from vsd.types import Trace, Video
from vsd.utils.validation import require_whole
from vsd.video import BadVideo, read

_DRAFTED, _OWN = "green", ""


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the sample and writes the picture beside the run; 2 for a folder without a run and for an id that it does
    not have."""
    parser = argparse.ArgumentParser(
        prog="vsd show", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="RUN")
    parser.add_argument("--sample", metavar="ID", help="default: the first that was decoded")
    parser.add_argument("--out", type=Path, help="the picture; default: RUN/show-ID.png")
    parser.add_argument("--frames", type=int, default=8, help="of the picture: most, best those with kept tokens (8)")
    args = parser.parse_args(argv)
    console = Console()
    try:
        require_whole("--frames", args.frames, least=1)
        run = _run(args.folder)
        record = chosen(run, args.sample)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    console.print(told(record, colours=console.color_system is not None))
    if record.trace is None:
        return 0
    if not record.trace.grid.tokens or "frames" not in run.config:
        console.print("[yellow]no picture[/]  the run does not say what was kept")
        return 0
    file = args.out or args.folder / f"show-{record.sample.id.replace('/', '_')}.png"
    try:
        video = read(record.sample.video, int(run.config["frames"]), span=record.sample.span)
        write_picture(file, record.trace, video, args.frames)
        console.print(f"[dim]picture[/]  {escape(str(file))}")
    except (BadVideo, OSError, ValueError, KeyError) as error:
        console.print(f"[yellow]no picture[/]  {escape(printable(str(error)))}")
    return 0


def _run(folder: Path) -> Run:
    """The run in this folder, or the one whose shards are all that it holds. Raises ValueError."""
    with suppress(ValueError):
        found = pooled(find_runs([folder]))
        if len(found) == 1:
            return found[0]
    return load_run(folder)


def chosen(run: Run, name: str | None) -> Record:
    """The sample of this id, or the first that was decoded. Raises ValueError if there is none."""
    if name is None:
        record = next((each for each in run.records if each.done), None)
    else:
        record = next((each for each in run.records if each.sample.id == name), None)
    if record is None:
        ids = ", ".join(each.sample.id for each in run.records[:5])
        rule = "must hold a sample that was decoded" if name is None else f"must be the id of a sample ({ids}, ...)"
        raise ValueError(
            f"{'RUN' if name is None else '--sample'}: {rule}, got {str(run.folder) if name is None else name!r}"
        )
    return record


def told(record: Record, *, colours: bool = True) -> RenderableType:
    """The sample in words; without `colours` it is not said whose each token is."""
    sample, trace = record.sample, record.trace
    lines: list[RenderableType] = [f"[bold]{plain(sample.id)}[/]  {plain(sample.video)}", plain(sample.question)]
    if trace is None:
        return Group(*lines, f"[red]failed[/]  {plain(record.failure)}")
    kept = f"{trace.kept} of {trace.visual} visual tokens kept"
    rounds = " ".join(f"{each.accepted}/{each.drafted}" for each in trace.rounds if each.drafted)
    whose = "green tokens are the draft's, in" if colours else "in"
    lines += ["", Text(f"speculative: {whose} ⟦⟧ those that a loose rule let stand", "dim")]
    lines += [tokens_of(record, trace)]
    if record.baseline is not None:
        same = "the same tokens" if not record.mismatched else "its tokens differ"
        lines += ["", Text(f"target alone ({same})", "dim"), Text(printable(record.baseline_text))]
    lines += ["", Text("accepted of drafted, round by round", "dim"), rounds or "–", kept]
    return Group(*lines)


def tokens_of(record: Record, trace: Trace) -> Text:
    """The text, token by token, those of the draft in their colour."""
    found = Text()
    if len(record.pieces) != len(trace.tokens):
        return Text(printable(record.text))
    for piece, mark in zip(record.pieces, trace.marks, strict=True):
        found.append(printable(marked([piece], [mark])), _DRAFTED if mark.origin == "draft" else _OWN)
    return found


def write_picture(file: Path, trace: Trace, video: Video, most: int) -> None:
    """At most so many frames with what the draft saw, each with its time, as an image file. Of places near each other
    the one is drawn in which more was kept."""
    from matplotlib.figure import Figure

    kept_K, grid = list(trace.kept_K or range(trace.grid.tokens)), trace.grid
    counts_T = np.bincount(np.array(kept_K) // (grid.h * grid.w), minlength=grid.t)
    times = spread(grid, most, sorted(range(grid.t), key=lambda time: -counts_T[time])[:most])
    figure = Figure(figsize=(1.6 * len(times), 2.0), layout="constrained")
    each = max(1, -(-len(video.frames) // grid.t))
    for axis, time in zip(figure.subplots(1, len(times), squeeze=False)[0], times, strict=True):
        axis.imshow(strip(video, grid, [time], kept_K))
        axis.set_title(f"{video.timestamps[min(time * each, len(video.timestamps) - 1)]:.1f} s", fontsize=8)
        axis.set_axis_off()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)
