"""What decides whether a target learns? ``python -m experiments.testbed.ablations --minutes 12``

Trains the target again from its family's finished tower, for some minutes, with one part of the recipe changed at a
time: no heads on the tail, all numbers of kept tokens from the beginning, no Muon, other learning rates. All follow the
same schedule in shorter time. Each is then asked about held-out clips: facts right in its own answers, with whole
prompts. The same command goes on where it was stopped, and prints the table in the end.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from experiments.common import FAMILIES, setting, table
from experiments.testbed.curves import curve
from vsd.zoo.small_events.questions import DESCRIPTIONS
from vsd.zoo.training import FAMILIES as TRAINED
from vsd.zoo.training.evaluate import evaluate, write
from vsd.zoo.training.lessons import AT_ONCE, LESSONS, Lesson
from vsd.zoo.training.run import INNER_PEAK, Budget
from vsd.zoo.training.stages import PEAKS, Training

TOWER = "tower-done.pt"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A target's recipe, by default as it is."""

    heads: bool = True
    lessons: tuple[Lesson, ...] = LESSONS
    peak: float = PEAKS["target"]
    inner_peak: float | None = INNER_PEAK

    @property
    def role(self) -> str:
        """What the recipe names the target."""
        return "target" if self.heads else "target-plain"


CHANGES = {
    "as it is": Change(),
    "no heads": Change(heads=False),
    "no schedule of kept tokens": Change(lessons=AT_ONCE),
    "AdamW alone": Change(inner_peak=None),
    "Muon's peak 2.5e-3": Change(inner_peak=INNER_PEAK / 2),
    "Muon's peak 1e-2": Change(inner_peak=INNER_PEAK * 2),
    "AdamW's peak 6e-4": Change(peak=PEAKS["target"] / 2),
    "AdamW's peak 2.4e-3": Change(peak=PEAKS["target"] * 2),
}


def folder_of(name: str) -> str:
    return re.sub(r"\W+", "_", name)


def run(name: str, family: str, budget: Budget, args: argparse.Namespace) -> Mapping[str, Mapping[str, float]]:
    """Trains and asks, or goes on with it; the numbers of each length of clip, of the target and by chance."""
    change, work = CHANGES[name], args.out / folder_of(name)
    file = work / family / "evaluation.json"
    if not file.exists():
        (work / family).mkdir(parents=True, exist_ok=True)
        shutil.copy(args.work / family / TOWER, work / family / TOWER)
        Training(
            family=TRAINED[family],
            budget=budget,
            work=work,
            out=work / "weights",
            heads=change.heads,
            device=args.device,
            peaks=PEAKS | {"target": change.peak},
            lessons=change.lessons,
            inner_peak=change.inner_peak,
        ).stage("target")
        report = evaluate(work / "weights" / family, target=change.role, most=args.clips)
        write(report, file)
    return {frames: models[change.role] for frames, models in json.loads(file.read_text()).items()}


def row(name: str, family: str, numbers: Mapping[str, Mapping[str, float]], out: Path) -> list[object]:
    """Facts right: of each length, and of each kind of question about clips of 64 frames."""
    last = curve(out / folder_of(name) / family, CHANGES[name].role)[-1]
    kinds = [f"{numbers['64'].get(f'facts_{kind}', float('nan')):.3f}" for kind in DESCRIPTIONS]
    return [name, last["step"], *(f"{each['facts']:.3f}" for each in numbers.values()), *kinds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, default="qwen2_5_vl")
    parser.add_argument("--change", choices=CHANGES, action="append", help="default: all")
    parser.add_argument("--minutes", type=float, help="of training each (default: 12)")
    parser.add_argument("--steps", type=int, help="instead of minutes")
    parser.add_argument("--clips", type=int, default=8, help="of each length that are asked about (default: 8)")
    parser.add_argument("--work", type=Path, default=Path("runs/zoo"), help="the recipe's, with the finished tower")
    parser.add_argument("--out", type=Path, default=Path("outputs/ablations"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    if not (args.work / args.family / TOWER).exists():
        parser.error(f"--work: must hold a finished tower ({args.family}/{TOWER}), got {args.work}")
    torch.set_num_threads(1)
    budget = Budget(steps=args.steps, minutes=None if args.steps else args.minutes or 12.0)
    found = {name: run(name, args.family, budget, args) for name in args.change or CHANGES}
    lengths = next(iter(found.values()))
    length = f"{args.steps} steps" if args.steps else f"{args.minutes or 12:g} minutes"
    print(setting(), f"{args.family}, {length} each; {args.clips} clips of each length.\n")
    head = ["recipe", "steps", *(f"facts right, {frames} frames" for frames in lengths), *DESCRIPTIONS]
    print(table(head, (row(name, args.family, numbers, args.out) for name, numbers in found.items())))


if __name__ == "__main__":
    main()
