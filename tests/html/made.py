"""Made-up runs with videos, for pages of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.html.tree import Element, read
from tests.results.made import a_record, write_run
from tests.results.test_runs import config
from tests.video.clips import write_video
from vsd.commands import report
from vsd.metrics.record import Record
from vsd.types import Grid, Round, Score
from vsd.utils.fingerprint import file_stamp

GREEDY: dict[str, Any] = {"verifier": {"_target_": "vsd.verifiers.greedy.Greedy"}, "frames": 8}
TOPK: dict[str, Any] = {"verifier": {"_target_": "vsd.verifiers.topk.TopK", "k": 2}, "frames": 8}
GRID = Grid(4, 2, 3)


def with_video(record: Record, folder: Path, **sample: Any) -> Record:
    """The record of a video that is there; the draft kept three tokens of its grid."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{record.sample.id}.mp4"
    if not file.exists():
        write_video(file, frames=8)
    assert record.trace is not None
    trace = replace(record.trace, grid=GRID, kept_K=(0, 5, 7))
    told = replace(record.sample, video=str(file), **sample)
    return replace(record, sample=told, trace=trace, video_stamp=file_stamp(file))


def lossy(folder: Path) -> Record:
    """Of six tokens: the prefill's; a round of two that were accepted, the second relaxed, and one in the place of one
    that was rejected; a round whose one was accepted, and the target's own behind it. The third is not the target's."""
    plain = with_video(a_record("a", [2, 1], 5.0), folder)
    assert plain.trace is not None
    assert plain.baseline is not None
    rounds: tuple[Round, ...] = (
        replace(plain.trace.rounds[0], relaxed=(1,), gaps=(0.5,)),
        replace(plain.trace.rounds[1], drafted=1, rejected=False, wasted=0, proposed=1),
    )
    trace = replace(plain.trace, rounds=rounds, tokens=(1, 2, 3, 4, 5, 6))
    return replace(
        plain,
        trace=trace,
        baseline=replace(plain.baseline, tokens=(1, 2, 9)),
        pieces=("It", " is", " red", " and", " round", "."),
        text="It is red and round.",
        baseline_text="It is blue",
        scores={"facts": Score(1, 4)},
        baseline_scores={"facts": Score(2, 4)},
    )


def a_sweep(folder: Path) -> Path:
    """Two pruners by three ratios, of four videos each."""
    for number, (pruner, ratio) in enumerate((p, r) for p in ("hippo", "random") for r in (0.5, 0.8, 0.9)):
        seconds = 4.0 + ratio + (pruner == "random")
        records = [with_video(a_record(f"v{n}", [5, n % 4], seconds + n / 10), folder / "videos") for n in range(4)]
        setting = config(pruner, ratio, **GREEDY)
        overrides = [f"pruner={pruner}", f"ratio={ratio}", "limit=4"]
        write_run(folder / "sweep" / str(number), records, setting, choices={"pruner": pruner}, overrides=overrides)
    return folder / "sweep"


def page_of(*folders: Path, options: Sequence[str] = ()) -> Element:
    """The page that the command writes."""
    file = folders[0].parent / "page.html"
    assert report.main([*map(str, folders), "--html", str(file), *options]) == 0
    return read(file.read_text(encoding="utf-8"))
