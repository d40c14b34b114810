"""Does the simulator say what is measured? ``python -m experiments.simulator.validate``

On the bundled pairs, two cores and a thread for each model: the sequential schedule at several gammas and HIPPO's with
the draft in a process of its own, all on each clip in turn, beside the target alone. From the sequential run at gamma 5
alone come the step times and the recorded words; the simulator then says what all the others should have given. What a
message to the worker takes is measured as well (half of what an answer takes longer than its work), and how much slower
each side is while the other one works, which on two cores of one processor it is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, median

import torch

from experiments.common import arguments, clips, pairs, setting, shown, side_by_side, table
from vsd import stats
from vsd.engine import Engine
from vsd.models import Checkpoint, VideoLM, load
from vsd.parallelism import Parallelism, Sequential
from vsd.parallelism.hippo import Hippo as Schedule
from vsd.pruners.hippo import Hippo
from vsd.record import Record
from vsd.simulator.acceptance import Replay
from vsd.simulator.profile import Profile
from vsd.simulator.rehearsal import Setting, simulate

SOURCE = 5  # the gamma of the sequential run that the simulator is told of
WAYS: tuple[tuple[str, Parallelism, int], ...] = (
    ("sequential", Sequential(), SOURCE),
    *(("sequential", Sequential(), gamma) for gamma in (1, 2, 3, 8)),
    *(("hippo", Schedule(executor="process", threads=1), gamma) for gamma in (2, 3, 5, 8)),
)
NAMES = ("speed/decode", "speed/end_to_end")
MESSAGES = 64
REPEATS = 8  # clips on which the two sides are slowed down
LONG = 100  # tokens of a draft that keeps the worker busy
JOBS = 12  # of them: longer than the target needs for an answer


def measure(target: VideoLM, draft: str, frames: int, ratio: float, limit: int | None) -> list[list[object]]:
    """A row a way: measured, simulated, and by how much the latter is off."""
    loaded = load(draft, field="draft")
    engines = [
        Engine(
            target=target,
            draft=Checkpoint(path=draft) if schedule.remote else loaded,
            pruner=Hippo(ratio=ratio),
            parallelism=schedule,
            gamma=gamma,
        )
        for _, schedule, gamma in WAYS
    ]
    try:
        found = side_by_side(engines, frames, limit)
        tokens = found[-1][-1].trace.tokens if found[-1][-1].trace else ()
        latency_s = message_s(engines[-1], tokens[:-1])
        paces = paces_of(engines[-1], frames)
    finally:
        for engine in engines:
            engine.close()
    target_pace, draft_pace = paces
    print(f"A message takes {latency_s * 1e6:.0f} microseconds. While the other side works, a step of the target takes")
    print(f"{target_pace:.2f} times as long, one of the draft {draft_pace:.2f} times.\n")
    profile = Profile.from_records(found[0], latency_s=latency_s)
    replay = Replay([record.trace for record in found[0] if record.trace is not None])
    told = Setting(times=profile, acceptance=replay, ratio=ratio, visual=1, paces=paces)
    return [
        row(name, records, replace(told, parallelism=schedule, gamma=gamma))
        for (name, schedule, gamma), records in zip(WAYS, found, strict=True)
    ]


def message_s(engine: Engine, tokens: Sequence[int]) -> float:
    """Seconds of one message to the engine's worker, or back, behind a sample whose answer these tokens are."""
    assert engine.worker is not None
    found = list[float]()
    for _ in range(MESSAGES):
        start = time.perf_counter()
        window = engine.worker.propose(tokens, [], 1).result()
        found.append((time.perf_counter() - start - window.seconds) / 2)
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


def row(name: str, records: list[Record], simulated: Setting) -> list[object]:
    values, errors = stats.summary(records), stats.standard_errors(records)
    ours = stats.summary(simulate(simulated))
    cells: list[object] = [name, simulated.gamma]
    for metric in NAMES:
        cells += [shown(values, errors, metric), f"{ours[metric]:.2f}", f"{ours[metric] / values[metric] - 1:+.1%}"]
    return [*cells, f"{values['accept/rate']:.3f}", f"{ours['accept/rate']:.3f}"]


def main() -> None:
    args = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    print(setting(), f"{args.frames} frames, ratio {args.ratio:g}, {args.limit or 'all'} clips.\n")
    head = ["schedule", "gamma"]
    head += [f"{metric}{part}" for metric in NAMES for part in ("", ", simulated", ", off by")]
    for family, target, draft in pairs(args):
        print(f"### {family}\n")
        rows = measure(target, draft, args.frames, args.ratio, args.limit)
        print(table([*head, "accept/rate", "simulated"], rows), "\n", flush=True)


if __name__ == "__main__":
    main()
