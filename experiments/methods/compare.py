"""The four methods beside naive speculative decoding and the target alone: ``python -m experiments.methods.compare``

Each is what ``python run.py experiment=NAME`` runs, on both bundled pairs. All decode a clip before the next one comes,
with one thread for each side: an executor of its own process gives the draft of a parallel schedule the second core.
"""

from __future__ import annotations

import torch

from experiments.common import FAMILIES, Clips, arguments, configured, pair_dials, setting, shown, side_by_side, table
from vsd.metrics import summarise
from vsd.metrics.record import Record

METHODS = ("naive", "specvlm", "lvspec", "hippo", "parallelvlm")
COLUMNS = {
    "accepted per round": "accept/draft_length",
    "accepted per run": "accept/run_length",
    "decode": "speed/decode",
    "equal devices": "speed/equal_devices",
    "end to end": "speed/end_to_end",
    "first token": "speed/ttft",
}


def row(name: str, records: list[Record]) -> list[object]:
    summary = summarise(records)
    values, errors = summary.values, summary.errors
    kept = f"{values.get('quality/retention', float('nan')):.1f}"
    if "quality/retention" in summary.intervals:  # two clips or more
        low, high = summary.intervals["quality/retention"]
        kept += f" ({low:.1f} to {high:.1f})"
    prune_s = values.get("time/prune", 0.0)
    return [
        name,
        *(shown(values, errors, each) for each in COLUMNS.values()),
        kept,
        f"{1 - values['prune/kept'] / values['prune/visual']:.0%}",
        f"{1000 * prune_s:.2f} ms, {prune_s / values['time/total']:.2%}",
        int(values["exact/mismatched"]),
    ]


def alone(records: list[Record]) -> list[object]:
    """The row of the target alone, as the others were measured against it."""
    facts = summarise(records).values["quality/baseline_facts"]
    return ["target alone", "–", "–", "1", "–", "1", "1", f"100 (facts right: {facts:.1%})", "–", "–", 0]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--dials", nargs="+", default=[], help="for all methods, as on the command line of run.py")
    args = parser.parse_args()
    torch.set_num_threads(1)
    clips = Clips.of(args)
    print(setting(), clips, f"Drafts {args.draft}.\n")
    head = ["method", *COLUMNS, "quality kept, percent", "pruned", "pruning takes", "mismatched"]
    for family in args.family or FAMILIES:
        dials = [*pair_dials(family, args), *args.dials]
        engines = [configured(f"experiment={name}", *dials) for name in METHODS]
        try:
            found = side_by_side(engines, clips)
        finally:
            for each in engines:
                each.close()
        rows = [alone(found[0]), *(row(name, records) for name, records in zip(METHODS, found, strict=True))]
        print(f"### {family}, {args.draft}\n")
        print(table(head, rows), "\n", flush=True)


if __name__ == "__main__":
    main()
