"""The four methods beside naive speculative decoding and the target alone: ``python -m experiments.methods.compare``

Each is what ``python run.py experiment=NAME`` runs, on both bundled pairs. All decode a clip before the next one comes,
with one thread for each side: an executor of its own process gives the draft of a parallel schedule the second core.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from experiments.common import arguments, setting, shown, side_by_side, table
from vsd import app, quality, stats
from vsd.engine import Engine
from vsd.record import Record
from vsd.report.numbers import numbers

CONF = Path(__file__).resolve().parents[2] / "conf"
METHODS = ("naive", "specvlm", "lvspec", "hippo", "parallelvlm")
TARGETS = {"qwen2_5_vl": "tiny_qwen", "llava_onevision": "tiny_llava"}
FAMILIES = tuple(TARGETS)
COLUMNS = {
    "accepted per round": "accept/draft_length",
    "accepted per run": "accept/run_length",
    "decode": "speed/decode",
    "equal devices": "speed/equal_devices",
    "end to end": "speed/end_to_end",
    "first token": "speed/ttft",
}


def engine(name: str, family: str, extra: Sequence[str]) -> Engine:
    """What the command line runs for this method."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"experiment={name}", f"target={TARGETS[family]}", *extra])
    methods, *_ = app.prepare(cfg, [])
    return app.build_engine(cfg, methods)


def row(name: str, records: list[Record]) -> list[object]:
    values, errors = numbers(records), stats.standard_errors(records)
    kept = f"{values['quality/retention']:.1f}"
    if "quality/retention_low" in values:  # two clips or more
        kept += f" ({values['quality/retention_low']:.1f} to {values['quality/retention_high']:.1f})"
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
    facts = quality.summary(records)["quality/baseline_facts"]
    return ["target alone", "–", "–", "1", "–", "1", "1", f"100 (facts right: {facts:.1%})", "–", "–", 0]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("override", nargs="*", help="dials for all methods, as on the command line of run.py")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(setting(), f"{args.frames} frames.\n")
    head = ["method", *COLUMNS, "quality kept, percent", "pruned", "pruning takes", "mismatched"]
    for family in args.family or FAMILIES:
        engines = [engine(name, family, args.override) for name in METHODS]
        try:
            found = side_by_side(engines, args.frames, args.limit)
        finally:
            for each in engines:
                each.close()
        rows = [alone(found[0]), *(row(name, records) for name, records in zip(METHODS, found, strict=True))]
        print(f"### {family}\n")
        print(table(head, rows), "\n", flush=True)


if __name__ == "__main__":
    main()
