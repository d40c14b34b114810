"""How good are the bundled pairs? ``python -m experiments.bundled_pairs.measure``

Both families are evaluated as the recipe does it (`vsd.zoo.training.evaluate`): from the mp4 files, with whole prompts,
on all questions of the held-out clips of each length.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from experiments.common import FAMILIES, setting, table
from vsd.zoo import WEIGHTS
from vsd.zoo.small_events.questions import DESCRIPTIONS
from vsd.zoo.training.evaluate import evaluate

Report = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Numbers by length of clip and by model, as the evaluation has them."""
DRAFTED = ("foreseen", "misses", "wording")


def facts_table(reports: Mapping[str, Report]) -> str:
    """Facts right by kind of question; a row a family, length and model."""
    kinds = [f"facts_{kind}" for kind in DESCRIPTIONS]
    head = ["family", "frames", "who answers", "all", *DESCRIPTIONS, "short", "A to D"]
    names = ("facts", *kinds, "facts_short", "choice")
    return table(head, (_row(place, numbers, names) for place, numbers in _each(reports)))


def drafts_table(reports: Mapping[str, Report]) -> str:
    """How much of its target's answers a draft foresees, and what it misses."""
    rows = [_row(place, numbers, DRAFTED) for place, numbers in _each(reports) if "foreseen" in numbers]
    return table(["family", "frames", "draft", "tokens foreseen", "misses", "of them wording"], rows)


def _each(reports: Mapping[str, Report]) -> Iterator[tuple[tuple[str, str, str], Mapping[str, float]]]:
    for family, report in reports.items():
        for frames, models in report.items():
            for model, numbers in models.items():
                yield (family, frames, model), numbers


def _row(place: tuple[str, ...], numbers: Mapping[str, float], names: tuple[str, ...]) -> list[object]:
    return [*place, *(_shown(numbers, name) for name in names)]


def _shown(numbers: Mapping[str, float], name: str) -> str:
    if name not in numbers:
        return "–"
    return f"{numbers[name]:.0f}" if name == "misses" else f"{numbers[name]:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="holds FAMILY/ROLE; default: the bundled models")
    parser.add_argument("--limit", type=int, help="clips of each length; default: all")
    written = "folder in which the recipe has written its evaluations (FAMILY/evaluation-target.json): print these"
    parser.add_argument("--reports", type=Path, help=written)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.reports:
        files = {family: args.reports / family / "evaluation-target.json" for family in FAMILIES}
        reports = {family: json.loads(file.read_text()) for family, file in files.items() if file.exists()}
    else:
        reports = {family: evaluate(args.weights / family, most=args.limit) for family in FAMILIES}
    print(setting(), "\n")
    print(facts_table(reports), "\n")
    print(drafts_table(reports))


if __name__ == "__main__":
    main()
