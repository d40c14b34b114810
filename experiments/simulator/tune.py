"""Does `vsd tune` find the best? ``python -m experiments.simulator.tune``

On both bundled pairs: its choice, then every setting of the same space measured, then the choice and the best of all
that side by side on more samples. The best of many noisy numbers looks better than it is, so only the last says which
one is faster. Runs are kept in --folder, and found again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from rich.console import Console

from experiments.common import setting, table
from vsd.commands.tune.candidate import UNPRUNED, Candidate, Pruning
from vsd.commands.tune.search import Search
from vsd.run.results.comparison import compared

PRUNINGS = (UNPRUNED, *(Pruning(*each) for each in product(("uniform", "hippo"), (0.8, 0.9))))
SCHEDULES, GAMMAS = ("sequential", "hippo"), (2, 4, 6, 8, 10)


def search_of(target: str, args: argparse.Namespace) -> Search:
    return Search(
        goal="speed/decode",
        prunings=PRUNINGS,
        schedules=SCHEDULES,
        gammas=GAMMAS,
        samples=args.samples,
        measure=4,
        folder=args.folder / target,
        overrides=(f"target={target}",),
        console=Console(quiet=True),
    )


def row(target: str, args: argparse.Namespace) -> list[object]:
    """What was chosen after how many runs, the best of all, and how fast the choice is beside it."""
    search = search_of(target, args)
    search.run()
    choice, runs = search.choice, len(search.measured)
    every = [Candidate(*each) for each in product(PRUNINGS, SCHEDULES, GAMMAS)]
    found = {each: search.decode(each).summary.values[search.goal] for each in every}
    best = max(found, key=lambda each: found[each])
    long = replace(search, samples=args.more, measured={})
    measured = [long.decode(each) for each in (best, choice)]
    by = compared(measured[0], measured[1], [search.goal])[0]
    speeds = [f"{run.summary.values[search.goal]:.2f} ± {run.summary.errors[search.goal]:.2f}" for run in measured]
    share = "1 (the same)" if best == choice else f"{by.by.value:.3f} ± {by.by.error:.3f}, {by.verdict}"
    return [target, choice, runs, best, len(every), speeds[1], speeds[0], share]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=8, help="of each run")
    parser.add_argument("--more", type=int, default=32, help="of the last two")
    parser.add_argument("--folder", type=Path, default=Path("runs/tune"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(setting(), "\n")
    head = ["target", "its choice", "after runs", "best of all", "of settings", "choice", "best", "choice / best"]
    print(table(head, [row(target, args) for target in ("tiny_qwen", "tiny_llava")]))


if __name__ == "__main__":
    main()
