"""Schedules side by side on the bundled pairs, one thread a model, with what the simulator expects of each.

The simulator takes the step times and the draft's luck from the sequential schedule's rounds of the same clips, and
plays them again under the other schedules: nothing of a parallel run is put into what is expected of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from time import perf_counter

import torch

from experiments.common import arguments, clips, pairs, setting, shown, side_by_side, table
from vsd import stats
from vsd.engine import Engine
from vsd.models import Checkpoint, VideoLM, load
from vsd.parallelism import Parallelism
from vsd.pruners.base import Pruner
from vsd.record import Record
from vsd.simulator.acceptance import Replay
from vsd.simulator.profile import Profile
from vsd.simulator.rehearsal import Setting, simulate

COLUMNS = {
    "speed-up": "speed/decode",
    "end to end": "speed/end_to_end",
    "first token": "speed/ttft",
    "accepted per run": "accept/run_length",
    "worked at once": "parallel/overlap",
    "target waited": "parallel/target_wait",
    "drafted for nothing": "parallel/wasted",
    "as many devices": "speed/equal_devices",
}
MESSAGES = 64
REPEATS = 8  # clips on which the two sides are slowed down
LONG = 100  # tokens of a draft that keeps the worker busy
JOBS = 12  # of them: longer than the target needs for an answer


@dataclass(frozen=True, kw_only=True)
class Case:
    """A way to decode. `turns` names the case in which the two sides take turns, all else being equal; None if this is
    such a case. `simulated` is false for what the simulator has no idea of."""

    name: str
    schedule: Parallelism
    pruner: Pruner
    gamma: int = 5
    turns: str | None = "sequential"
    simulated: bool = True

    def engine(self, target: VideoLM, loaded: VideoLM, draft: str) -> Engine:
        return Engine(
            target=target,
            draft=Checkpoint(path=draft) if self.schedule.remote else loaded,
            pruner=self.pruner,
            parallelism=self.schedule,
            gamma=self.gamma,
        )

    def expected(self, turns: Sequence[Record], apart: Apart) -> list[Record]:
        """What the simulator makes of it, from the rounds of the case in turns."""
        return simulate(
            Setting(
                times=Profile.from_records(turns, latency_s=apart.latency_s),
                acceptance=Replay([each.trace for each in turns if each.trace is not None]),
                parallelism=self.schedule,
                gamma=self.gamma,
                ratio=self.pruner.ratio,
                visual=1,
                paces=apart.paces,
            )
        )


@dataclass(frozen=True)
class Apart:
    """What it costs two sides to work apart on this machine: seconds of a message, and how many times longer a step of
    the target and one of the draft take while the other side works, which on two cores of one processor they do."""

    latency_s: float
    paces: tuple[float, float]

    @classmethod
    def measured(cls, engine: Engine, frames: int) -> Apart:
        """Measured on an engine whose draft has a process of its own."""
        return cls(latency_s=message_s(engine, frames), paces=paces_of(engine, frames))

    def __str__(self) -> str:
        target, draft = self.paces
        return (
            f"A message takes {self.latency_s * 1e6:.0f} µs. While the other side works, a step of the target takes "
            f"{target:.2f} times as long, one of the draft {draft:.2f} times."
        )


def message_s(engine: Engine, frames: int) -> float:
    """Seconds of one message to the engine's worker, or back: half of what an answer takes longer than its work."""
    assert engine.worker is not None
    sample, video = clips(frames, 1)[0]
    tokens, found = engine.run(video, sample.question).tokens[:-1], list[float]()
    for _ in range(MESSAGES):
        start = perf_counter()
        window = engine.worker.propose(tokens, [], 1).result()
        found.append((perf_counter() - start - window.seconds) / 2)
    return median(found)


def paces_of(engine: Engine, frames: int) -> tuple[float, float]:
    """How much longer target and draft take while the other one works: the target alone decodes a clip, with and
    without a worker that drafts meanwhile."""
    assert engine.worker is not None
    alone, worker = engine.baseline(), engine.worker
    target, draft = list[float](), list[float]()
    for sample, video in clips(frames, REPEATS):
        engine.run(video, sample.question)
        quiet = alone.run(video, sample.question)
        drafted = worker.propose(quiet.tokens[:1], [], LONG).result().seconds
        jobs = [worker.propose(quiet.tokens[:1], [], LONG) for _ in range(JOBS)]
        loud = alone.run(video, sample.question)
        windows = [job.result().seconds for job in jobs]
        target.append(loud.seconds["decode"] / quiet.seconds["decode"])
        draft.append(fmean(windows[:2]) / drafted)
    return median(target), median(draft)


def gain(ours: Sequence[Record], turns: Sequence[Record]) -> list[Record]:
    """The records with the schedule in turns in the place of the baseline."""
    return [replace(mine, baseline=theirs.trace) for mine, theirs in zip(ours, turns, strict=True)]


def measure(cases: Sequence[Case], target: VideoLM, draft: str, frames: int, limit: int | None) -> list[list[object]]:
    """A row a case."""
    loaded = load(draft, field="draft")
    engines = [case.engine(target, loaded, draft) for case in cases]
    try:
        found = dict(zip((case.name for case in cases), side_by_side(engines, frames, limit), strict=True))
        apart = Apart.measured(next(each for each in engines if each.parallelism.remote), frames)
    finally:
        for engine in engines:
            engine.close()
    print(apart, "\n")
    by_name = {case.name: case for case in cases}
    return [row(case, by_name[case.turns or case.name], found, apart) for case in cases]


def row(case: Case, in_turns: Case, found: dict[str, list[Record]], apart: Apart) -> list[object]:
    records, turns = found[case.name], found[in_turns.name]
    values, errors = stats.summary(records), stats.standard_errors(records)
    cells: list[object] = [case.name, *(shown(values, errors, each) for each in COLUMNS.values())]
    if case is in_turns:
        return [*cells, "1", "1", int(values["exact/mismatched"])]
    compared = gain(records, turns)
    gained = stats.summary(compared)["speed/decode"]
    cells += [shown(stats.summary(compared), stats.standard_errors(compared), "speed/decode"), "–"]
    if case.simulated:
        expected = gain(case.expected(turns, apart), in_turns.expected(turns, apart))
        theory = stats.summary(expected)["speed/decode"]
        cells[-1] = f"{theory:.2f} ({gained / theory - 1:+.0%})"
    return [*cells, int(values["exact/mismatched"])]


def main(doc: str | None, cases: Sequence[Case]) -> None:
    """Prints a table for each pair."""
    args = arguments(doc).parse_args()
    torch.set_num_threads(1)
    print(setting(), f"{args.frames} frames, {args.limit or 'all'} clips.\n")
    head = ["schedule", *COLUMNS, "gain over turns", "expected", "mismatched"]
    for family, target, draft in pairs(args):
        print(f"### {family}\n")
        rows = measure(cases, target, draft, args.frames, args.limit)
        print(table(head, rows), "\n", flush=True)
