"""How were the pairs trained? ``python -m experiments.testbed.curves runs/zoo``

Draws the curves that the recipe leaves in its work folder: of each family what its tower sees, and the facts that each
model has right in what it learns from, on pruned prompts and on whole ones. Each point is a mean over the last steps.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.common import FAMILIES, pyplot, save, table

SPOKEN = {"facts": "-", "facts, full": "--"}
SEEN = ("colour", "shape", "size", "core", "row", "column", "motion", "texture", "tone", "empty")
SPEAKERS = ("target", "target-plain", "near", "other")
Curve = Sequence[Mapping[str, float]]


def curve(folder: Path, name: str) -> Curve:
    """The lines of a stage; empty where it has none."""
    file = folder / f"{name}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def line(found: Curve, name: str) -> tuple[list[float], list[float]]:
    """Minutes and values of a number, where it is there."""
    told = [(each["minutes"], each[name]) for each in found if name in each]
    return [minutes for minutes, _ in told], [value for _, value in told]


def draw(work: Path, families: Sequence[str], path: Path) -> None:
    plt = pyplot()
    figure, axes = plt.subplots(len(families), 2, figsize=(10, 3.4 * len(families)), sharey=True, squeeze=False)
    for (tower, spoken), family in zip(axes, families, strict=True):
        for name in SEEN:
            tower.plot(*line(curve(work / family, "tower"), name), lw=1, label=name)
        tower.set(title=f"{family}: what the tower sees", xlabel="minutes of training", ylabel="share right")
        _speakers(spoken, work / family, plt.get_cmap("tab10").colors)
        spoken.set(title=f"{family}: facts right", xlabel="minutes of training")
    axes[0][0].legend(fontsize=7, ncols=2)
    if axes[0][1].get_legend_handles_labels()[0]:
        axes[0][1].legend(fontsize=7)
    figure.tight_layout()
    save(figure, path)


def _speakers(axis: Any, folder: Path, colours: Sequence[Any]) -> None:
    for colour, role in zip(colours, SPEAKERS, strict=False):
        for name, dash in SPOKEN.items():
            minutes, values = line(curve(folder, role), name)
            if minutes:
                whole = ", whole prompt" if name == "facts, full" else ""
                axis.plot(minutes, values, dash, lw=1, color=colour, label=f"{role}{whole}")


def ends(work: Path, families: Sequence[str]) -> list[list[object]]:
    """Where each stage ended."""
    found: list[list[object]] = []
    for family in families:
        for name in ("tower", "target", "target-plain", "near-tower", "near", "other"):
            lines = curve(work / family, name)
            if lines:
                last = lines[-1]
                facts = [f"{last[each]:.3f}" if each in last else "–" for each in SPOKEN]
                found.append([family, name, last["step"], f"{last['minutes']:.1f}", last["loss"], *facts])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, nargs="?", default=Path("runs/zoo"))
    parser.add_argument("--figure", type=Path, help="default: curves.svg in the work folder")
    args = parser.parse_args()
    families = [family for family in FAMILIES if (args.work / family).is_dir()]
    if not families:
        parser.error(f"work: must hold a folder of a family ({', '.join(FAMILIES)}), got {args.work}")
    draw(args.work, families, args.figure or args.work / "curves.svg")
    head = ["family", "stage", "steps", "minutes", "loss", "facts right", "with the whole prompt"]
    print(table(head, ends(args.work, families)))


if __name__ == "__main__":
    main()
