"""What does looseness buy, and what does it cost? Reads the folders of multiruns, prints the tables, draws the fronts.

``python -m experiments.lvspec.report outputs/lvspec`` after the commands in this folder's README.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.common import family, runs, table
from vsd import quality, stats

# The paper's own sweep without position-shift tolerance, and its setting with it (arXiv 2604.05650, Qwen2.5-VL 32B/7B):
# looseness, accepted per round, speed-up, quality kept in percent.
PAPER = ((0.0, 3.41, 1.40, 100.0), (0.7, 7.27, 2.54, 98.5), (0.9, 8.97, 3.03, 92.8))
PAPER_SHIFT = (0.7, 7.76, 2.70, 99.6)
DIALS = {
    "LVSpec": ("looseness",),
    "RandomRelax": ("looseness",),
    "FLy": ("entropy", "window", "end"),
    "Typical": ("epsilon", "delta"),
    "TopK": ("k", "gap"),
}
SWEPT = ("LVSpec", "RandomRelax")  # drawn as lines, the others as points


@dataclass(frozen=True)
class Job:
    """One run: a rule at a setting on one pair, pooled over the clips."""

    pair: str
    rule: str
    dials: str
    accepted: float
    error: float
    retention: float
    interval: tuple[float, float]
    agreement: float
    relaxed: float
    gap: float
    setting: str


def jobs(folder: Path) -> Iterator[Job]:
    for config, setting, records in runs(folder):
        values, errors = stats.summary(records) | quality.summary(records), stats.standard_errors(records)
        name = config.verifier._target_.split(".")[-1]
        rule = f"{name}, no shift" if name == "LVSpec" and not config.verifier.shift else name
        yield Job(
            pair=family(config) + ("" if config.draft.path.startswith("zoo:") else ", a draft of other wording"),
            rule=rule,
            dials=" ".join(f"{dial}={shown(config.verifier[dial])}" for dial in DIALS[name]),
            accepted=values["accept/draft_length"],
            error=errors["accept/draft_length"],
            retention=values["quality/retention"],
            interval=(values["quality/retention_low"], values["quality/retention_high"]),
            agreement=values["quality/agreement"],
            relaxed=values["relax/share"],
            gap=values.get("relax/gap", 0.0),
            setting=setting,
        )


def shown(value: float | str) -> str:
    """A dial's value, as short as it can be written."""
    return value if isinstance(value, str) else f"{value:g}"


def kept_at_random(found: Sequence[Job], accepted: float) -> float:
    """The quality that relaxing at random keeps where it accepts so many tokens: between its two nearest settings,
    straight. Its ends, nothing and everything relaxed, are LVSpec's."""
    ends = [job for job in found if job.rule == "LVSpec" and job.dials in ("looseness=0", "looseness=1")]
    line = [job for job in found if job.rule == "RandomRelax"] + ends
    points = sorted((job.accepted, job.retention) for job in line)
    if not points:
        return float("nan")
    places, values = zip(*points, strict=True)
    return float(np.interp(accepted, places, values, left=np.nan, right=np.nan))


def draw(found: list[Job], path: Path) -> None:
    """Quality kept over accepted tokens, a line a rule, a panel a pair, the paper's points beside them."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "vsd"  # the same file from the same numbers
    from matplotlib import pyplot as plt

    pairs = sorted({job.pair for job in found}, key=lambda pair: ("other" in pair, pair))
    columns = -(-(len(pairs) + 1) // 2)
    figure, grid = plt.subplots(2, columns, figsize=(4.6 * columns, 8), squeeze=False)
    axes = grid.flatten().tolist()
    for axis, pair in zip(axes, pairs, strict=False):
        for rule in sorted({job.rule for job in found}):
            line = sorted((job for job in found if (job.pair, job.rule) == (pair, rule)), key=lambda job: job.accepted)
            low = [job.retention - job.interval[0] for job in line]
            high = [job.interval[1] - job.retention for job in line]
            places, values = [job.accepted for job in line], [job.retention for job in line]
            form = "o-" if rule in SWEPT else "s"
            axis.errorbar(places, values, [low, high], fmt=form, ms=3, capsize=2, lw=1, label=rule)
        axis.set(title=pair)
    paper = axes[len(pairs)]
    paper.plot([point[1] for point in PAPER], [point[3] for point in PAPER], "o-", label="LVSpec, no shift (paper)")
    paper.plot(PAPER_SHIFT[1], PAPER_SHIFT[3], "s", label="LVSpec (paper)")
    paper.set(title="published: Qwen2.5-VL 32B/7B")
    for axis in axes:
        axis.set(xlabel="draft tokens accepted per round", ylabel="quality kept, percent", xlim=(3, 10), ylim=(45, 102))
        axis.set_visible(axis in axes[: len(pairs) + 1])
    for axis in (axes[0], paper):
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--figure", type=Path, default=Path(__file__).parent / "front.svg")
    args = parser.parse_args()
    found = sorted(jobs(args.folder), key=lambda job: (job.pair, job.rule, job.accepted))
    draw(found, args.figure)
    print(*sorted({job.setting for job in found}), f"{len(found)} jobs.\n")
    for pair in sorted({job.pair for job in found}):
        mine = [job for job in found if job.pair == pair]
        print(f"### {pair}\n")
        rows = [
            [
                job.rule,
                job.dials,
                f"{job.accepted:.2f} ± {job.error:.2f}",
                f"{job.retention:.1f} [{job.interval[0]:.1f}, {job.interval[1]:.1f}]",
                f"{at_random:.1f}",
                f"{job.retention - at_random:+.1f}",
                job.relaxed,
                job.gap,
                job.agreement,
            ]
            for job in mine
            for at_random in [kept_at_random(mine, job.accepted)]
        ]
        head = ["rule", "setting", "accept/draft_length", "quality kept %", "at random", "more", "relaxed", "gap"]
        print(table([*head, "agreement"], rows), "\n")


if __name__ == "__main__":
    main()
