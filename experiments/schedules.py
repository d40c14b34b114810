"""Schedules side by side on the bundled pairs, one thread a model, with what the simulator expects of each.

The simulator takes the step times and the draft's luck from the sequential schedule's rounds of the same clips, and
plays them again under the other schedules: nothing of a parallel run is put into what is expected of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import perf_counter

import torch

from experiments.common import arguments, pairs, setting, shown, side_by_side, table
from vsd import stats
from vsd.drafters.prompt_lookup import PromptLookup
from vsd.drafting import DraftSide
from vsd.engine import Engine
from vsd.models import Checkpoint, VideoLM, load
from vsd.parallelism import Parallelism
from vsd.parallelism.process import OtherProcess
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
PINGS = 300


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

    def expected(self, turns: Sequence[Record], latency_s: float) -> list[Record]:
        """What the simulator makes of it, from the rounds of the case in turns."""
        return simulate(
            Setting(
                times=Profile.from_records(turns, latency_s=latency_s),
                acceptance=Replay([each.trace for each in turns if each.trace is not None]),
                parallelism=self.schedule,
                gamma=self.gamma,
                ratio=self.pruner.ratio,
            )
        )


def message_s() -> float:
    """Seconds of a message's way to a worker process and of the answer's way back, each: the median half of a round
    trip of a draft without tokens, its own seconds taken off."""
    build = partial(DraftSide, None, PromptLookup(), gamma=1, max_new_tokens=1)
    worker, found = OtherProcess(build, timeout_s=60, threads=1), list[float]()
    for number in range(PINGS):
        start = perf_counter()
        window = worker.propose([number], [], 1).result()
        found.append((perf_counter() - start - window.seconds) / 2)
    worker.close()
    return median(found)


def gain(ours: Sequence[Record], turns: Sequence[Record]) -> list[Record]:
    """The records with the schedule in turns in the place of the baseline."""
    return [replace(mine, baseline=theirs.trace) for mine, theirs in zip(ours, turns, strict=True)]


def measure(
    cases: Sequence[Case], target: VideoLM, draft: str, frames: int, limit: int | None, latency_s: float
) -> list[list[object]]:
    """A row a case."""
    loaded = load(draft, field="draft")
    engines = [case.engine(target, loaded, draft) for case in cases]
    try:
        found = dict(zip((case.name for case in cases), side_by_side(engines, frames, limit), strict=True))
    finally:
        for engine in engines:
            engine.close()
    by_name = {case.name: case for case in cases}
    return [row(case, by_name[case.turns or case.name], found, latency_s) for case in cases]


def row(case: Case, in_turns: Case, found: dict[str, list[Record]], latency_s: float) -> list[object]:
    records, turns = found[case.name], found[in_turns.name]
    values, errors = stats.summary(records), stats.standard_errors(records)
    cells: list[object] = [case.name, *(shown(values, errors, each) for each in COLUMNS.values())]
    if case is in_turns:
        return [*cells, "1", "1", int(values["exact/mismatched"])]
    compared = gain(records, turns)
    gained = stats.summary(compared)["speed/decode"]
    cells += [shown(stats.summary(compared), stats.standard_errors(compared), "speed/decode"), "–"]
    if case.simulated:
        expected = gain(case.expected(turns, latency_s), in_turns.expected(turns, latency_s))
        theory = stats.summary(expected)["speed/decode"]
        cells[-1] = f"{theory:.2f} ({gained / theory - 1:+.0%})"
    return [*cells, int(values["exact/mismatched"])]


def main(doc: str | None, cases: Sequence[Case]) -> None:
    """Prints a table for each pair."""
    args = arguments(doc).parse_args()
    torch.set_num_threads(1)
    latency_s = message_s()
    print(setting(), f"{args.frames} frames. A message to the other process takes {1e6 * latency_s:.0f} µs.\n")
    head = ["schedule", *COLUMNS, "gain over turns", "expected", "mismatched"]
    for family, target, draft in pairs(args):
        rows = measure(cases, target, draft, args.frames, args.limit, latency_s)
        print(f"### {family}\n")
        print(table(head, rows), "\n", flush=True)
