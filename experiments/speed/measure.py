"""Does pruning pay in time? ``OMP_NUM_THREADS=1 python -m experiments.speed.measure [--pruners]``

The README's main command against plain speculative decoding, with --pruners other ways to prune too. All answer a
question before the next one comes, on one thread, beside the target alone; and all questions several rounds over.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import median

import torch

from experiments.common import (
    ACCEPTED,
    FAMILIES,
    Clips,
    arguments,
    configured,
    pair_dials,
    plus_minus,
    quotient,
    setting,
    side_by_side,
    table,
)
from vsd.metrics import METRICS, by_video, estimate, values_of
from vsd.metrics.record import Record

MAIN, NAIVE = "README's command: hippo, 0.9", "naive: nothing pruned"
WAYS = {MAIN: ("pruner=hippo", "ratio=0.9"), NAIVE: ("experiment=naive",)}
PRUNERS = {
    f"{pruner}, {ratio}": (f"pruner={pruner}", f"ratio={ratio}")
    for pruner, ratio in (
        ("hippo", 0.95),
        ("attention", 0.9),
        ("attention", 0.95),
        ("specvlm", 0.9),
        ("specvlm", 0.95),
        ("uv_prune", 0.9),
        ("random", 0.9),
        ("uniform", 0.9),
    )
}
SPEEDS = {"decode": "speed/decode", "end to end": "speed/end_to_end", "first token": "speed/ttft"}

Rounds = Sequence[Sequence[Record]]


def spread(rounds: Rounds, name: str) -> str:
    """The median over the rounds, the least and the most."""
    found = sorted(values_of(records)[name] for records in rounds)
    return f"{median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"


def row(name: str, rounds: Rounds, naive: Rounds) -> list[object]:
    records = list(itertools.chain(*rounds))
    mine, theirs = by_video(records), by_video(list(itertools.chain(*naive)))
    cells: list[object] = [name, plus_minus(estimate(METRICS[ACCEPTED].value, mine))]
    cells += [spread(rounds, metric) for metric in SPEEDS.values()]
    for metric in ("speed/decode", "speed/end_to_end"):
        cells.append("1" if rounds is naive else plus_minus(quotient(metric, mine, theirs), digits=3))
    return [*cells, int(values_of(records)["exact/mismatched"])]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pruners", action="store_true", help="measure other ways to prune too")
    parser.set_defaults(limit=32)
    args = parser.parse_args()
    torch.set_num_threads(1)
    clips, ways = Clips.of(args), WAYS | (PRUNERS if args.pruners else {})
    print(setting(), clips, f"Drafts {args.draft}, {args.rounds} rounds: median (least to most).\n")
    head = ["way", "accepted per round", *SPEEDS, "decode / naive", "end to end / naive", "mismatched"]
    for family in args.family or FAMILIES:
        engines = [configured(*pair_dials(family, args), *dials) for dials in ways.values()]
        rounds = [side_by_side(engines, clips) for _ in range(args.rounds)]
        found = dict(zip(ways, zip(*rounds, strict=True), strict=True))
        print(f"### {family}, {args.draft}\n")
        print(table(head, [row(name, each, found[NAIVE]) for name, each in found.items()]), "\n", flush=True)


if __name__ == "__main__":
    main()
