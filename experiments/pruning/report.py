"""Which pruner keeps acceptance? Reads the folder of multiruns, prints the tables and draws the figure.

``python -m experiments.pruning.report outputs/pruning`` after the commands in this folder's README. What a run kept is
not in its record: each target reads the videos once more, and the runs' pruners choose again what they chose there.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

from experiments.common import (
    ACCEPTED,
    details,
    difference,
    event_tokens,
    in_errors,
    pair,
    plus_minus,
    pyplot,
    quotient,
    runs,
    save,
    seen,
    table,
)
from vsd.metrics import METRICS, Estimate, by_video, estimate, values_of
from vsd.metrics.record import Record
from vsd.metrics.resampling import Videos
from vsd.video import read

CONTROLS = ("random", "uniform")
SHOWN = (0.9, 0.95)  # ratios of the first table
NONE = "none"


@dataclass(frozen=True)
class Job:
    """A run: a pruner at a ratio, on one pair, asked one kind of question. `events` is, by question, the share kept
    of the visual tokens that show what was asked."""

    config: Any
    setting: str
    records: list[Record]
    events: dict[str, float] = field(default_factory=dict)

    @property
    def pair(self) -> str:
        return pair(self.config)

    @property
    def asked(self) -> str:
        ask = self.config.data.ask
        return ask if isinstance(ask, str) else ", ".join(ask)

    @property
    def pruner(self) -> str:
        target: str = self.config.pruner._target_
        return target.split(".")[-2]

    @property
    def ratio(self) -> float:
        return 0.0 if self.pruner == NONE else float(self.config.ratio)

    @property
    def mismatched(self) -> int:
        return sum(record.mismatched for record in self.records)

    @cached_property
    def videos(self) -> Videos:
        return by_video(self.records)

    @cached_property
    def accepted(self) -> Estimate:
        return estimate(METRICS[ACCEPTED].value, self.videos)

    @property
    def kept(self) -> float:
        """The share of all events' tokens."""
        return sum(self.events.values()) / len(self.events) if self.events else float("nan")


def jobs(folder: Path) -> list[Job]:
    found = [Job(*run) for run in runs(folder)]
    alike = defaultdict(list)
    for job in found:
        alike[job.config.target.path, job.asked].append(job)
    for group in alike.values():
        watch(group)
    return sorted(found, key=lambda job: (job.pair, job.asked, job.ratio, -job.accepted.value))


@torch.inference_mode()
def watch(alike: Sequence[Job]) -> None:
    """Notes for each question what these runs, of one target and the same questions, kept of the events asked for."""
    target = instantiate(alike[0].config.target, field="target")
    pruners = [instantiate(job.config.pruner) for job in alike]
    needs = frozenset().union(*(pruner.needs for pruner in pruners))
    for record in alike[0].records:
        frames = alike[0].config.frames
        evidence = seen(target, record.sample, read(record.sample.video, frames), needs, alike[0].config.seed)
        event = set(event_tokens(record.sample, evidence.grid, frames))
        if event:  # a shot may be empty
            for job, pruner in zip(alike, pruners, strict=True):
                kept = event.intersection(pruner.keep(evidence).tolist())
                job.events[record.sample.id] = len(kept) / len(event)


def rows(found: Sequence[Job]) -> Iterator[list[object]]:
    """A row a job, of one pair and one kind of question."""
    by_name = {(job.pruner, job.ratio): job for job in found}
    whole = by_name.get((NONE, 0.0))
    for job in found:
        own = plus_minus(job.accepted)
        cells: list[object] = [f"{job.ratio:g}", job.pruner, f"{job.kept:.2f}", own]
        cells.append(of_whole(job, whole) if whole and whole.accepted.value else "–")
        for control in (by_name.get((name, job.ratio)) for name in CONTROLS):
            cells.append(more(job, control) if control and control is not job else "–")
        yield [*cells, job.mismatched]


def of_whole(job: Job, whole: Job) -> str:
    """The share of the unpruned draft's acceptance, in percent."""
    found = quotient(ACCEPTED, job.videos, whole.videos)
    return plus_minus(Estimate(*(100 * each for each in found)), digits=1)


def more(job: Job, control: Job) -> str:
    """How much more is accepted, and how many standard errors that is."""
    found = difference(ACCEPTED, job.videos, control.videos)
    return f"{plus_minus(found, sign='+')} ({in_errors(found)})"


HEAD = ["ratio", "pruner", "events kept", "accepted per round", "% of unpruned", "more than random", "than uniform"]
HEAD += ["mismatched"]


def tables(found: Sequence[Job], draft: str, asked: str) -> Iterator[str]:
    """Of each family the ratios that are discussed, and all of them folded."""
    for name in sorted({job.pair for job in found if job.pair.endswith(draft)}):
        mine = [job for job in found if (job.pair, job.asked) == (name, asked)]
        if mine:
            yield f"### {name}, asked for {asked}\n"
            every = list(rows(mine))
            first = [row for job, row in zip(mine, every, strict=True) if job.ratio in (0.0, *SHOWN)]
            yield table(HEAD, first) + "\n"
            yield seen_or_not(mine) + "\n"
            yield details("All ratios", table(HEAD, every))


def seen_or_not(found: Sequence[Job]) -> str:
    """What is accepted where the draft saw anything of what was asked, and where it saw nothing, over all pruners."""
    answers = [
        (job.events[record.sample.id] > 0, record)
        for job in found
        if job.ratio >= SHOWN[0]
        for record in job.records
        if record.sample.id in job.events
    ]
    sides = [[record for saw, record in answers if saw is wanted] for wanted in (True, False)]
    told = [
        f"{values_of(side)[ACCEPTED]:.2f} accepted in {len(side)} answers" if side else "no answers" for side in sides
    ]
    return f"From {SHOWN[0]} on: {told[0]} where the draft saw anything of what was asked for, {told[1]} where nothing."


def draw(found: Sequence[Job], path: Path) -> None:
    """A row a pair. Acceptance over the ratio, a panel a kind of question; and over what was kept of the events."""
    plt = pyplot()
    pairs, asks = sorted({job.pair for job in found}), sorted({job.asked for job in found}, reverse=True)
    pruners = sorted({job.pruner for job in found} - {NONE})
    colours = dict(zip(pruners, plt.get_cmap("tab10").colors, strict=False))
    width = len(asks) + 1
    figure, axes = plt.subplots(len(pairs), width, figsize=(4.2 * width, 3.4 * len(pairs)), sharey="row", squeeze=False)
    for line, name in zip(axes, pairs, strict=True):
        for axis, asked in zip(line, asks, strict=False):
            mine = [job for job in found if (job.pair, job.asked) == (name, asked)]
            _over_ratio(axis, mine, colours)
            axis.set(title=f"{name}, asked for {asked}", xlabel="share of visual tokens removed")
        points = [job for job in found if (job.pair, job.asked) == (name, asks[0]) and job.pruner != NONE]
        for job in points:
            line[-1].plot(job.kept, job.accepted.value, "o", ms=4, color=colours[job.pruner])
        line[-1].set(
            title="by what was kept of it", xlabel=f"share kept of the tokens that show it (asked for {asks[0]})"
        )
        line[0].set_ylabel("draft tokens accepted per round")
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    save(figure, path)


def _over_ratio(axis: Any, found: Sequence[Job], colours: Mapping[str, Any]) -> None:
    ratios = sorted({job.ratio for job in found} - {0.0})
    for number, (pruner, colour) in enumerate(colours.items()):
        line = [job for job in found if job.pruner == pruner]
        # Shifted a little, so that bars at the same ratio do not hide each other.
        places = [ratios.index(job.ratio) + 0.04 * (number - len(colours) / 2) for job in line]
        errors = [job.accepted.error for job in line]
        values = [job.accepted.value for job in line]
        axis.errorbar(places, values, errors, label=pruner, marker="o", ms=3, capsize=2, lw=1, color=colour)
    for job in found:
        if job.pruner == NONE:
            axis.axhline(job.accepted.value, color="grey", lw=0.8, ls="--", label=NONE)
    axis.set_xticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--figure", type=Path, help="default: acceptance.svg in the folder")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = jobs(args.folder)
    near = [job for job in found if job.pair.endswith("near")]
    draw(near or found, args.figure or args.folder / "acceptance.svg")
    total = sum(job.mismatched for job in found)
    print(*sorted({job.setting for job in found}), f"{len(found)} jobs, {total} answers mismatched.\n")
    for draft in ("near", "other"):
        for asked in sorted({job.asked for job in found}, reverse=True):
            print(*tables(found, draft, asked), sep="\n")


if __name__ == "__main__":
    main()
