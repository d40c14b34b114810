"""Which pruner keeps acceptance? Reads the folder of a multirun and writes the table and the figure.

``python -m experiments.pruning.report outputs/pruning`` after the command in this folder's README.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.common import family, runs, table
from vsd import stats

METRIC = "accept/draft_length"


@dataclass(frozen=True)
class Job:
    """One cell of the table: a pruner at a ratio on one pair, pooled over the clips."""

    target: str
    pruner: str
    ratio: float
    clips: int
    mismatched: int
    kept: float
    value: float
    error: float
    rate: float
    setting: str


def jobs(folder: Path) -> Iterator[Job]:
    for config, setting, records in runs(folder):
        values, errors = stats.summary(records), stats.standard_errors(records)
        yield Job(
            target=family(config),
            pruner=config.pruner._target_.split(".")[-2],
            ratio=float(config.ratio),
            clips=int(values["samples/done"]),
            mismatched=int(values["exact/mismatched"]),
            kept=values["prune/kept"],
            value=values[METRIC],
            error=errors[METRIC],
            rate=values["accept/rate"],
            setting=setting,
        )


def draw(found: list[Job], path: Path) -> None:
    """Draft tokens accepted per round over the ratio, a line a pruner, a panel a pair; bars are standard errors."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "vsd"  # the same file from the same numbers
    from matplotlib import pyplot as plt

    targets = sorted({job.target for job in found})
    figure, axes = plt.subplots(1, len(targets), figsize=(5.2 * len(targets), 4), sharey=True, squeeze=False)
    for axis, target in zip(axes[0], targets, strict=True):
        for number, pruner in enumerate(sorted({job.pruner for job in found} - {"none"})):
            line = sorted((job for job in found if (job.target, job.pruner) == (target, pruner)), key=lambda j: j.ratio)
            # Shifted a little, so that bars at the same ratio do not hide each other.
            places = [sorted({j.ratio for j in found}).index(j.ratio) + 0.04 * (number - 4) for j in line]
            axis.errorbar(
                places,
                [j.value for j in line],
                [j.error for j in line],
                label=pruner,
                marker="o",
                ms=3,
                capsize=2,
                lw=1,
            )
        ratios = sorted({job.ratio for job in found})
        axis.set(title=target, xlabel="share of visual tokens removed from the draft's prompt")
        axis.set_xticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
    axes[0][0].set_ylabel("draft tokens accepted per round")
    axes[0][-1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--figure", type=Path, default=Path(__file__).parent / "acceptance.svg")
    args = parser.parse_args()
    found = sorted(jobs(args.folder), key=lambda job: (job.target, job.ratio, -job.value))
    draw(found, args.figure)
    print(
        *sorted({job.setting for job in found}),
        f"{len(found)} jobs, {sum(job.mismatched for job in found)} samples mismatched.\n",
    )
    for target in sorted({job.target for job in found}):
        print(f"## {target}\n")
        rows = [
            [job.ratio, job.pruner, job.kept, f"{job.value:.2f} ± {job.error:.2f}", job.rate, job.clips, job.mismatched]
            for job in found
            if job.target == target
        ]
        print(table(["ratio", "pruner", "kept", METRIC, "accept/rate", "clips", "mismatched"], rows), "\n")


if __name__ == "__main__":
    main()
