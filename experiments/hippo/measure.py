"""What do draft and target gain by working at once? ``python -m experiments.hippo.measure``

HIPPO on the bundled pairs, on two cores with a thread for each model: the draft in a process of its own, and the
sequential schedule with the same threads beside it, each of HIPPO's parts left out in turn. All decode a clip before
the next one comes, beside the target alone. "Expected" is what the schedule gives for i.i.d. acceptance at the measured
rate, with the measured times of a drafted token and of a verification, if nothing else took time.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch

from experiments.common import arguments, pairs, setting, shown, side_by_side, table
from vsd import stats
from vsd.engine import Engine
from vsd.models import Checkpoint, VideoLM, load
from vsd.parallelism import Parallelism, Sequential
from vsd.parallelism.hippo import Hippo as Schedule
from vsd.pruners.hippo import Hippo
from vsd.pruners.none import NoPruner
from vsd.record import Record
from vsd.types import Round

SCHEDULES: tuple[tuple[str, Parallelism, bool], ...] = (
    ("sequential", Sequential(), True),
    ("hippo", Schedule(executor="process", threads=1), True),
    ("hippo, length measured", Schedule(executor="process", threads=1, length="measured"), True),
    ("hippo, no pre-verification", Schedule(executor="process", threads=1, pre_verify=False), True),
    ("hippo, no post-verification", Schedule(executor="process", threads=1, post_verify=False), True),
    ("hippo, prefills in turn", Schedule(executor="process", threads=1, overlap_prefill=False), True),
    ("hippo, nothing pruned", Schedule(executor="process", threads=1), False),
    ("sequential, nothing pruned", Sequential(), False),
    ("hippo on two threads of one process", Schedule(executor="thread"), True),
)
NAMES = ("speed/decode", "speed/end_to_end", "accept/run_length", "parallel/overlap", "parallel/wasted")


def expected(rounds: Sequence[Round], gamma: int, step_s: float) -> float:
    """The speed-up over a target that takes `step_s` for a token, if each round takes as long as its slower side.

    A round with nothing to verify (its share is that of the chain's stationary law) commits one token, one with a
    window (1 - a^gamma) / (1 - a) of them.
    """
    tested = [each for each in rounds if each.drafted]
    accepted, rejected = sum(each.accepted for each in tested), sum(each.rejected for each in tested)
    alpha = accepted / (accepted + rejected)
    token_s = sum(each.draft_s for each in rounds) / sum(each.proposed for each in rounds)
    short_s, long_s = (
        fmean(each.verify_s for each in rounds if (each.drafted > 1) == long and each.ahead) for long in (False, True)
    )
    long = alpha / (alpha + 1 - alpha**gamma)
    tokens = (1 - long) + long * (1 - alpha**gamma) / (1 - alpha)
    seconds = (1 - long) * max(gamma * token_s, short_s) + long * max(gamma * token_s, long_s)
    return tokens * step_s / seconds


def measure(
    target: VideoLM, draft: str, frames: int, ratio: float, gamma: int, limit: int | None
) -> list[list[object]]:
    """A row a schedule."""
    loaded = load(draft, field="draft")
    engines = [
        Engine(
            target=target,
            draft=Checkpoint(path=draft) if schedule.remote else loaded,
            pruner=Hippo(ratio=ratio) if prunes else NoPruner(ratio=0.0),
            parallelism=schedule,
            gamma=gamma,
        )
        for _, schedule, prunes in SCHEDULES
    ]
    try:
        found = side_by_side(engines, frames, limit)
    finally:
        for engine in engines:
            engine.close()
    return [row(name, schedule, records, gamma) for (name, schedule, _), records in zip(SCHEDULES, found, strict=True)]


def row(name: str, schedule: Parallelism, records: list[Record], gamma: int) -> list[object]:
    values, errors = stats.summary(records), stats.standard_errors(records)
    step_s = 1 / values["speed/baseline_tokens_per_s"]
    rounds = [each for record in records if record.trace for each in record.trace.rounds]
    whole = (
        isinstance(schedule, Schedule) and schedule.pre_verify and schedule.post_verify and schedule.length == "fixed"
    )
    theory = expected(rounds, gamma, step_s) if whole else values.get("speed/predicted")
    cells = [shown(values, errors, each) for each in NAMES]
    return [name, *cells, "–" if theory is None else f"{theory:.2f}", int(values["exact/mismatched"])]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--gamma", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(setting(), f"{args.frames} frames, ratio {args.ratio:g}, gamma {args.gamma}.\n")
    for family, target, draft in pairs(args):
        rows = measure(target, draft, args.frames, args.ratio, args.gamma, args.limit)
        print(f"### {family}\n")
        print(table(["schedule", *NAMES, "expected", "mismatched"], rows), "\n", flush=True)


if __name__ == "__main__":
    main()
