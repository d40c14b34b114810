"""What does looseness buy, and what does it cost? Reads the folders of multiruns, prints the tables, draws the fronts.

``python -m experiments.lvspec.report outputs/lvspec`` after the commands in this folder's README. Runs that differ in
nothing but the seed are one setting.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common import (
    ACCEPTED,
    details,
    difference,
    in_errors,
    pair,
    plus_minus,
    pyplot,
    runs,
    save,
    table,
)
from vsd.metrics import METRICS, Estimate, by_video, estimate, values_of
from vsd.metrics.record import Record
from vsd.metrics.registry import Sums, Value
from vsd.metrics.resampling import Videos

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
OURS, STRICT, AT_RANDOM = "LVSpec", "LVSpec, no shift", "RandomRelax"
SWEPT = (OURS, STRICT, AT_RANDOM)  # drawn as lines, the others as points
ENDS = ("looseness=0", "looseness=1")
TOP_N = 10
KEPT = "quality/retention"


@dataclass(frozen=True)
class Setting:
    """A rule at a setting on one pair, pooled over the questions and the seeds."""

    pair: str
    rule: str
    dials: str
    records: list[Record]

    @cached_property
    def videos(self) -> Videos:
        return by_video(self.records)

    @cached_property
    def accepted(self) -> Estimate:
        return estimate(METRICS[ACCEPTED].value, self.videos)

    @cached_property
    def kept(self) -> Estimate:
        return estimate(METRICS[KEPT].value, self.videos)


def settings(folder: Path) -> tuple[list[Setting], list[str]]:
    """All settings, and what the runs say of where they were made."""
    pooled: dict[tuple[str, str, str], list[Record]] = {}
    made = set()
    for config, source, records in runs(folder):
        made.add(source)
        pooled.setdefault((pair(config), *named(config)), []).extend(records)
    found = [Setting(*key, records) for key, records in pooled.items()]
    return sorted(found, key=lambda each: (each.pair, each.rule, each.accepted.value)), sorted(made)


def named(config: Any) -> tuple[str, str]:
    """The rule and its dials."""
    name = config.verifier._target_.split(".")[-1]
    dials = [f"{dial}={shown(config.verifier[dial])}" for dial in DIALS[name]]
    if name != OURS:
        return name, " ".join(dials)
    if config.verifier.threshold == "absolute":
        return "tolerance alone", f"below={shown(config.verifier.below)}"
    if config.relevance.top_n != TOP_N:
        return f"{OURS}, N {config.relevance.top_n}", " ".join(dials)
    return (OURS if config.verifier.shift else STRICT), " ".join(dials)


def shown(value: float | str) -> str:
    """A dial's value, as short as it can be written."""
    return value if isinstance(value, str) else f"{value:g}"


def curve(found: Sequence[Setting]) -> list[Setting]:
    """The settings of relaxing at random. Its ends, nothing and everything relaxed, are LVSpec's, where the tolerance
    has nothing to forgive."""
    ends = {each.dials: each for each in found if each.rule in (OURS, STRICT) and each.dials in ENDS}
    return [*(each for each in found if each.rule == AT_RANDOM), *ends.values()]


def more_than_random(ours: Setting, line: Sequence[Setting]) -> Estimate:
    """How much more quality is kept than by relaxing at random where that accepts as many tokens, on a straight line
    between its two nearest settings."""
    accepted, kept = METRICS[ACCEPTED].value, METRICS[KEPT].value
    interpolated = np.vectorize(np.interp, signature="(),(n),(n)->()")

    def gain(ours: Sums, *line: Sums) -> Value:
        places, values = (np.stack([metric(each) for each in line], axis=-1) for metric in (accepted, kept))
        order = places.argsort(-1)
        places, values = (np.take_along_axis(each, order, axis=-1) for each in (places, values))
        found: Value = kept(ours) - interpolated(accepted(ours), places, values)
        return found

    return estimate(gain, *(each.videos for each in (ours, *line)))


def rows(found: Sequence[Setting]) -> Iterator[list[object]]:
    """A row a setting, of one pair."""
    line = curve(found)
    for each in found:
        values = values_of(each.records)
        gain = more_than_random(each, line) if len(line) > 1 and each not in line else None
        yield [
            each.rule,
            each.dials,
            plus_minus(each.accepted),
            plus_minus(each.kept, digits=1),
            plus_minus(gain, digits=1, sign="+") if gain else "–",
            in_errors(gain) if gain else "–",
            values.get("relax/share", 0.0),
            values.get("relax/gap", 0.0),
            values["quality/agreement"],
        ]


HEAD = ["rule", "setting", "accepted per round", "quality kept, %", "more than at random", "in standard errors"]
HEAD += ["relaxed", "gap", "agreement"]


def shift_rows(found: Sequence[Setting]) -> Iterator[list[object]]:
    """What the position-shift tolerance changes at each looseness, of one pair."""
    by_name = {(each.rule, each.dials): each for each in found}
    for each in found:
        off = by_name.get((STRICT, each.dials))
        if each.rule == OURS and off:
            longer, better = (difference(name, each.videos, off.videos) for name in (ACCEPTED, KEPT))
            cells = [plus_minus(longer, sign="+"), in_errors(longer), plus_minus(better, digits=1, sign="+")]
            other = sum(_tokens(a) != _tokens(b) for a, b in _matched(each, off))
            yield [each.dials, *cells, in_errors(better), f"{other} of {len(off.records)}"]


def _matched(ours: Setting, theirs: Setting) -> list[tuple[Record, Record]]:
    by_id = {record.sample.id: record for record in theirs.records}
    return [(record, by_id[record.sample.id]) for record in ours.records if record.sample.id in by_id]


def _tokens(record: Record) -> tuple[int, ...]:
    return record.trace.tokens if record.trace else ()


def draw(found: Sequence[Setting], path: Path) -> None:
    """Quality kept over accepted tokens, a line a rule, a panel a pair, the paper's points beside them."""
    plt = pyplot()
    pairs = sorted({each.pair for each in found}, key=lambda name: (name.endswith("near"), name))
    rules = sorted({each.rule for each in found})
    colours = dict(zip(rules, plt.get_cmap("tab10").colors, strict=False))
    columns = -(-(len(pairs) + 1) // 2)
    figure, grid = plt.subplots(2, columns, figsize=(4.6 * columns, 8), squeeze=False)
    axes = grid.flatten().tolist()
    for axis, name in zip(axes, pairs, strict=False):
        for rule in rules:
            line = [each for each in found if (each.pair, each.rule) == (name, rule)]
            sides, tops = [each.accepted for each in line], [each.kept for each in line]
            axis.errorbar(
                [each.value for each in sides],
                [each.value for each in tops],
                [each.error for each in tops],
                [each.error for each in sides],
                fmt="o-" if rule in SWEPT else "s",
                ms=3,
                capsize=2,
                lw=1,
                color=colours[rule],
                label=rule,
            )
        axis.set(title=name)
    paper = axes[len(pairs)]
    paper.plot([point[1] for point in PAPER], [point[3] for point in PAPER], "o-", label="LVSpec, no shift (paper)")
    paper.plot(PAPER_SHIFT[1], PAPER_SHIFT[3], "s", label="LVSpec (paper)")
    paper.set(title="published: Qwen2.5-VL 32B/7B")
    for axis in axes:
        axis.set(xlabel="draft tokens accepted per round", ylabel="quality kept, percent")
        axis.set_visible(axis in axes[: len(pairs) + 1])
    for axis in (axes[0], paper):
        axis.legend(fontsize=8)
    figure.tight_layout()
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--figure", type=Path, help="default: front.svg in the folder")
    args = parser.parse_args()
    found, made = settings(args.folder)
    draw(found, args.figure or args.folder / "front.svg")
    print(*made, f"{len(found)} settings.\n")
    shift = ["setting", "accepted, on - off", "in errors", "quality, on - off", "in errors", "other answers"]
    for name in sorted({each.pair for each in found}):
        mine = [each for each in found if each.pair == name]
        every = list(rows(mine))
        print(f"### {name}\n")
        print(table(HEAD, [row for row, each in zip(every, mine, strict=True) if each.rule in SWEPT]), "\n")
        if shifted := list(shift_rows(mine)):
            print(f"The position-shift tolerance, on against off:\n\n{table(shift, shifted)}\n")
        print(details("All rules", table(HEAD, every)))


if __name__ == "__main__":
    main()
