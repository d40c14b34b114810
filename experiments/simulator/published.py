"""Do the papers' step times explain their speed-ups? ``python -m experiments.simulator.published``

Simulates the published settings of ParallelVLM, SpecVLM, LVSpec and HIPPO with the step times that ParallelVLM
(arXiv 2603.19610) gives for its two large pairs on 8 x L40S, and draws the predicted speed-ups beside the published
ones. Acceptance is constant, so that the published number of accepted tokens comes out. Then it holds those step times
against a roofline of the same models and devices.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.common import pyplot, save, table
from vsd.drafters.tree import SPECVLM
from vsd.metrics import summarise
from vsd.parallelism import HIPPO, PARALLELVLM, Parallelism, Sequential
from vsd.simulator.acceptance import rate
from vsd.simulator.rehearsal import Setting, accuracy, simulate
from vsd.step_times.devices import DEVICES
from vsd.step_times.roofline import Machine, Roofline
from vsd.step_times.shapes import SHAPES
from vsd.step_times.times import Given

VISUAL = 25_088  # 128 frames of LLaVA-OneVision
TOKENS = 512
RATIOS = (0.0, 0.5, 0.9)


@dataclass(frozen=True)
class Pair:
    """Two models and their published step times in seconds: the target's, and the draft's at each ratio, with c as the
    paper rounds it."""

    name: str
    target: str
    draft: str
    target_s: float
    draft_s: tuple[float, float, float]
    c: tuple[int, int, int]

    def times(self, ratio: float) -> Given:
        return Given(target=self.target_s, draft=self.draft_s[RATIOS.index(ratio)])


LLAVA = Pair("LLaVA-OV 72B/7B", "llava_ov_72b", "llava_ov_7b", 0.420, (0.0783, 0.0575, 0.0466), (5, 7, 9))
QWEN = Pair("Qwen2.5-VL 32B/7B", "qwen2_5_vl_32b", "qwen2_5_vl_7b", 0.203, (0.0637, 0.0482, 0.0398), (3, 4, 5))
PREFILL_S = (44.2, 7.9)  # of the first pair at 24k visual tokens


@dataclass(frozen=True)
class Published:
    """One published setting: accepted tokens, and how the paper may have counted them; speed-up; what we assume."""

    paper: str
    pair: Pair
    ratio: float
    accepted: float
    speed: float
    counted: str
    assumed: str = ""


RUN, PER_ROUND, WITH_BONUS = "run", "round", "round, bonus included"
THEIRS = "as ParallelVLM counted it there"
SETTINGS = (
    Published("ParallelVLM", LLAVA, 0.9, 6.8, 3.36, RUN),
    Published("ParallelVLM", LLAVA, 0.0, 6.8, 2.45, RUN, "accepted as at ratio 0.9"),
    Published("ParallelVLM", QWEN, 0.9, 4.3, 2.42, RUN),
    Published("SpecVLM, by ParallelVLM", LLAVA, 0.9, 4.4, 2.74, WITH_BONUS),
    Published("SpecVLM, by ParallelVLM", QWEN, 0.9, 4.2, 2.11, WITH_BONUS),
    Published("SpecVLM", LLAVA, 0.9, 4.4, 2.68, WITH_BONUS, f"times; accepted {THEIRS}"),
    Published("SpecVLM", QWEN, 0.9, 4.2, 2.11, WITH_BONUS, f"times; accepted {THEIRS}"),
    Published("SpecVLM, by LVSpec", QWEN, 0.9, 3.29, 2.00, PER_ROUND, "times"),
    Published("LVSpec", QWEN, 0.9, 7.76, 2.70, PER_ROUND, "times"),
    Published("LVSpec, no shift", QWEN, 0.9, 7.27, 2.54, PER_ROUND, "times"),
    Published("LVSpec, looseness 0", QWEN, 0.9, 3.41, 1.40, PER_ROUND, "times"),
    Published("LVSpec, looseness 0.9", QWEN, 0.9, 8.97, 3.03, PER_ROUND, "times"),
    Published("LVSpec", LLAVA, 0.9, 7.34, 2.94, PER_ROUND, "times"),
    Published("HIPPO, VDC", QWEN, 0.9, 8.05, 2.31, RUN, "pair and times"),
    Published("HIPPO, MLVU", QWEN, 0.9, 12.42, 2.78, RUN, "pair and times"),
)
LVSPEC_GAMMA = 10
TREE_DEPTH = 5


def schedule(each: Published) -> tuple[Parallelism, int, str]:
    """What the paper runs, with its gamma and its tree."""
    c = each.pair.c[RATIOS.index(each.ratio)]
    if each.paper.startswith("SpecVLM"):
        return Sequential(), TREE_DEPTH, SPECVLM
    if each.paper.startswith("LVSpec"):
        return Sequential(), LVSPEC_GAMMA, ""
    return (HIPPO if each.paper.startswith("HIPPO") else replace(PARALLELVLM, length="fixed")), c, ""


def alpha(each: Published, counted: str) -> float:
    """The rate at which so many tokens are accepted, 1 at most."""
    parallelism, gamma, _ = schedule(each)
    if counted == RUN:
        return each.accepted / (1 + each.accepted)
    wanted = each.accepted - (counted == WITH_BONUS)
    per_round = _in_parallel if parallelism.overlaps else _in_turn
    return _solve(lambda a: per_round(a, gamma), wanted)


def _in_turn(a: float, gamma: int) -> float:
    """Draft tokens accepted per sequential round."""
    return sum(a**depth for depth in range(1, gamma + 1))


def _in_parallel(a: float, gamma: int) -> float:
    """The same in PEARL's schedule: rounds with nothing to verify test one token, the others gamma."""
    long = a / (a + 1 - a**gamma)
    return (1 - long) * a + long * _in_turn(a, gamma)


def _solve(function: Callable[[float], float], wanted: float) -> float:
    """Where a rising function of [0, 1] is `wanted`, by bisection; 1 if it never is."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < wanted else (low, middle)
    return (low + high) / 2


def predicted(each: Published, counted: str) -> tuple[float, float]:
    """The simulated speed-up, and its standard error as a share of it."""
    parallelism, gamma, paths = schedule(each)
    setting = Setting(
        times=each.pair.times(each.ratio),
        acceptance=rate(alpha(each, counted)),
        parallelism=parallelism,
        gamma=gamma,
        paths=paths,
        tokens=TOKENS,
    )
    records = simulate(setting, precision=0.008)
    return summarise(records).values["speed/decode"], accuracy(records)


def other(each: Published) -> str:
    """The next likely way in which the paper may have counted."""
    return PER_ROUND if each.counted != PER_ROUND else WITH_BONUS


def prefills() -> Iterator[list[object]]:
    """What overlapping the prefills should bring the first pair: a row a schedule, c tokens a window, ratio 0.9."""
    for name, parallelism in (("sequential", Sequential()), ("hippo", HIPPO), ("parallelvlm", PARALLELVLM)):
        target_s, draft_s = PREFILL_S
        given = {
            "target": LLAVA.target_s,
            "draft": LLAVA.draft_s[-1],
            "prefill": target_s,
            "draft_prefill": 0.1 * draft_s,
        }
        setting = Setting(
            times=Given(**given),
            acceptance=rate(6.8 / 7.8),
            parallelism=parallelism,
            gamma=9,
            ratio=0.9,
            visual=100,
            tokens=TOKENS,
        )
        values = summarise(simulate(setting)).values
        yield [name, *(f"{values[f'speed/{metric}']:.2f}" for metric in ("decode", "end_to_end", "ttft"))]


def ratios() -> Iterator[list[object]]:
    """ParallelVLM at each ratio that step times are published for, all with the acceptance of ratio 0.9."""
    for pair, accepted in ((LLAVA, 6.8), (QWEN, 4.3)):
        for ratio, c in zip(RATIOS, pair.c, strict=True):
            speed, _ = predicted(Published("ParallelVLM", pair, ratio, accepted, 0.0, RUN), RUN)
            yield [pair.name, f"{ratio:g}", c, f"{speed:.2f}"]


def roofline() -> Iterator[list[object]]:
    """The published step times beside those of data sheets, and the efficiency that would explain the difference."""
    l40s = DEVICES["l40s"]
    many, one = Machine(device=l40s, count=8, split="pipeline"), Machine(device=l40s)
    for pair in (LLAVA, QWEN):
        times = Roofline(target=SHAPES[pair.target], draft=SHAPES[pair.draft], target_on=many, draft_on=one)
        yield _share(f"{pair.name}, target step", pair.target_s, times.verify_s(1, VISUAL))
        for ratio, seconds in zip(RATIOS, pair.draft_s, strict=True):
            context = round(VISUAL * (1 - ratio))
            yield _share(f"{pair.name}, draft step, ratio {ratio:g}", seconds, times.draft_s(1, context))
    times = Roofline(target=SHAPES[LLAVA.target], draft=SHAPES[LLAVA.draft], target_on=many, draft_on=one)
    yield _share(f"{LLAVA.name}, target prefill", PREFILL_S[0], times.prefill_s(VISUAL))
    yield _share(f"{LLAVA.name}, draft prefill", PREFILL_S[1], times.draft_prefill_s(VISUAL))


def _share(name: str, theirs: float, ours: float) -> list[object]:
    return [name, f"{theirs * 1000:.1f}", f"{ours * 1000:.1f}", f"{ours / theirs:.2f}"]


def draw(bars: list[tuple[str, float, float]], path: Path) -> None:
    """Predicted and published speed-up of each setting, side by side."""
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(8, 0.42 * len(bars) + 1))
    places = [-place for place in range(len(bars))]
    for shift, index, label in ((0.2, 1, "published"), (-0.2, 2, "simulated from the published step times")):
        axis.barh([place + shift for place in places], [bar[index] for bar in bars], height=0.38, label=label)
    axis.set_yticks(places, [bar[0] for bar in bars], fontsize=8)
    axis.set(xlabel="speed-up of decoding over the target alone")
    axis.axvline(1, color="grey", lw=0.5)
    axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2, frameon=False)
    figure.tight_layout()
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, default=Path("outputs/published.svg"))
    args = parser.parse_args()
    lines, bars, worst = list[list[object]](), list[tuple[str, float, float]](), 0.0
    for each in SETTINGS:
        speed, error = predicted(each, each.counted)
        otherwise, _ = predicted(each, other(each))
        worst = max(worst, error)
        name = f"{each.paper}, {each.pair.name}, ratio {each.ratio:g}"
        bars.append((name, each.speed, speed))
        deviation, elsewise = (f"{value / each.speed - 1:+.0%}" for value in (speed, otherwise))
        cells = [f"{alpha(each, each.counted):.3f}", f"{each.speed:.2f}", f"{speed:.2f}", deviation, elsewise]
        lines.append([name, each.accepted, each.counted, *cells, each.assumed or "–"])
    draw(bars, args.figure)
    head = [
        "setting",
        "accepted",
        "per",
        "rate",
        "published",
        "simulated",
        "deviation",
        "if counted otherwise",
        "assumed",
    ]
    print(table(head, lines))
    print(
        f"\nStandard errors of the simulation: at most {worst:.1%}. Otherwise: per round, else with the bonus token.\n"
    )
    print(table(["ParallelVLM", "ratio", "gamma = c", "simulated"], ratios()), "\n")
    print(table(["LLaVA-OV 72B/7B", "decode", "end to end", "first token"], prefills()), "\n")
    print(table(["step, in ms", "published", "roofline", "efficiency"], roofline()))


if __name__ == "__main__":
    main()
