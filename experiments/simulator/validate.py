"""Does the simulator say what is measured? ``python -m experiments.simulator.validate``

On the bundled pairs, two cores and a thread for each model: the sequential schedule at several gammas and HIPPO's with
the draft in a process of its own, all on each clip in turn, beside the target alone. From the sequential runs at two
gammas come the step times and how unevenly steps take that long, from the longer one also the tokens; the simulator
then says what all the others should have given. What a message to the worker takes is measured beside that (half of
what an answer takes longer than its work), and how much slower each side is beside the other one than in turn.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from experiments.common import Clips, arguments, pairs, setting, shown, side_by_side, table
from experiments.schedules import Steps
from vsd.engine import Engine
from vsd.executors import Inline, Process
from vsd.metrics import summarise
from vsd.metrics.record import Record
from vsd.models import Checkpoint, VideoLM
from vsd.parallelism import HIPPO, Parallelism, Sequential
from vsd.pruners.hippo import Hippo
from vsd.simulator.acceptance import Replay
from vsd.simulator.rehearsal import Setting, simulate
from vsd.step_times.profile import Profile

SOURCES = (8, 1)  # the gammas of the sequential runs that the simulator is told of
WAYS: tuple[tuple[str, Parallelism, int], ...] = (
    *(("sequential (source)", Sequential(), gamma) for gamma in SOURCES),
    *(("sequential", Sequential(), gamma) for gamma in (2, 3, 5)),
    *(("hippo", HIPPO, gamma) for gamma in (2, 3, 5, 8)),
)
NAMES = ("speed/decode", "speed/end_to_end")


def measure(target: VideoLM, draft: Checkpoint, clips: Clips, ratio: float) -> list[list[object]]:
    """A row a way: measured, simulated, and by how much the latter is off."""
    loaded = draft.load()
    engines = [
        Engine(
            target=target,
            draft=draft if schedule.overlaps else loaded,
            pruner=Hippo(ratio=ratio),
            parallelism=schedule,
            executor=Process(threads=1) if schedule.overlaps else Inline(),
            gamma=gamma,
            share_vision=False,  # a draft in a process of its own cannot take pixels, so none does
        )
        for _, schedule, gamma in WAYS
    ]
    steps = Steps(engines[0], engines[-1])
    try:
        found = side_by_side(engines, clips, also=steps.measure)
    finally:
        for engine in engines:
            engine.close()
    apart = steps.result()
    print(apart, "\n")
    profile = Profile.from_records([each for run in found[: len(SOURCES)] for each in run], **apart.messages)
    replay = Replay([record.trace for record in found[0] if record.trace is not None])
    told = Setting(times=profile, acceptance=replay, ratio=ratio, visual=1, paces=apart.paces)
    return [
        row(name, records, replace(told, parallelism=schedule, gamma=gamma))
        for (name, schedule, gamma), records in zip(WAYS, found, strict=True)
    ]


def row(name: str, records: list[Record], simulated: Setting) -> list[object]:
    summary = summarise(records)
    values, errors = summary.values, summary.errors
    ours = summarise(simulate(simulated)).values
    cells: list[object] = [name, simulated.gamma]
    for metric in NAMES:
        cells += [shown(values, errors, metric), f"{ours[metric]:.2f}", f"{ours[metric] / values[metric] - 1:+.1%}"]
    return [*cells, f"{values['accept/rate']:.3f}", f"{ours['accept/rate']:.3f}"]


def main() -> None:
    args = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    clips = Clips.of(args)
    print(setting(), clips, f"Ratio {args.ratio:g}.\n")
    head = ["schedule", "gamma"]
    head += [f"{metric}{part}" for metric in NAMES for part in ("", ", simulated", ", off by")]
    for family, target, draft in pairs(args):
        print(f"### {family}, {args.draft}\n")
        rows = measure(target, draft, clips, args.ratio)
        print(table([*head, "accept/rate", "simulated"], rows), "\n", flush=True)


if __name__ == "__main__":
    main()
