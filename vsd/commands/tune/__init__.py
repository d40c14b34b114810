"""Which setting is fastest here? ``vsd tune [OVERRIDE ...]``

For this pair, these videos and this machine: the drafter's length, the schedule, the pruner and its ratio. Short
sequential runs give step times and acceptance, the simulator predicts every combination, one run of each schedule says
how far predictions of it are off, and the best are measured. It ends with the best one as a command. A command that is
repeated goes on where it stopped. Examples:

  vsd tune
  vsd tune target=tiny_llava --goal speed/end_to_end
  vsd tune data=folder data.path=videos target=qwen2_5_vl_7b device=cuda --samples 16 --schedules sequential
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from hydra.errors import HydraException
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vsd.cli import CONF
from vsd.commands.in_process import run_here
from vsd.commands.tune.candidate import NOTHING, SCHEDULES, Candidate, Pruning
from vsd.commands.tune.prediction import Oracle, window_share
from vsd.metrics.record import Record
from vsd.run import app, disk
from vsd.run.results.cells import cell
from vsd.run.results.comparison import compared
from vsd.run.results.run import Run, load_run
from vsd.utils.validation import require, require_one_of, require_whole

GOALS = ("speed/decode", "speed/end_to_end")
LONG, SHORT, ANCHOR = 8, 1, 5  # draft lengths of calibration: for tokens and times, for what a window costs, to correct
SHOWN = 8  # candidates
_OURS = frozenset({"pruner", "ratio", "parallelism", "gamma", "limit", "out", "baseline", "dry_run", "drafter"})


def main(argv: Sequence[str] | None = None) -> int:
    """Calibrates, predicts, measures, and prints the best. Exit codes: 0 done, 1 a run could not decode a sample, 2
    refused, 130 interrupted."""
    args = _options().parse_intermixed_args(argv)
    console = Console()
    try:
        _check(args)
        with disk.room(args.folder):
            Tuning(args, console).answer()
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on", file=sys.stderr)
        return 130
    except (app.UsageError, HydraException, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (app.NothingDone, disk.CannotWrite) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vsd tune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="of all runs: models, data, device")
    parser.add_argument("--goal", default=GOALS[0], help=f"one of {', '.join(GOALS)} (default {GOALS[0]})")
    parser.add_argument("--pruners", nargs="*", default=["uniform", "specvlm", "uv_prune", "hippo"], metavar="PRUNER")
    parser.add_argument("--ratios", nargs="*", type=float, default=[0.5, 0.8, 0.9], metavar="RATIO")
    parser.add_argument("--schedules", nargs="+", default=[*SCHEDULES], metavar="SCHEDULE", help="of conf/parallelism")
    parser.add_argument("--gammas", nargs="+", type=int, default=[*range(1, 11)], metavar="GAMMA")
    parser.add_argument("--samples", type=int, default=8, help="of each run (default 8)")
    parser.add_argument("--measure", type=int, default=2, help="how many of the best are measured (default 2)")
    parser.add_argument("--folder", type=Path, default=Path("outputs/tune"))
    return parser


def _check(args: argparse.Namespace) -> None:
    """ValueError for what is no choice."""
    require_one_of("--goal", args.goal, GOALS)
    pruners = tuple(sorted({file.stem for file in (CONF / "pruner").glob("*.yaml")} - {NOTHING.pruner}))
    for pruner in args.pruners:
        require_one_of("--pruners", pruner, pruners)
    for ratio in args.ratios:
        require("--ratios", "numbers in (0, 1)", ratio, 0 < ratio < 1)
    for schedule in args.schedules:
        require_one_of("--schedules", schedule, (*SCHEDULES,))
    for name in ("gammas", "samples", "measure"):
        for number in args.gammas if name == "gammas" else (getattr(args, name),):
            require_whole(f"--{name}", number, least=1)
    for override in args.overrides:
        name = override.lstrip("+~").partition("=")[0]
        require("OVERRIDE", f"none of {', '.join(sorted(_OURS))}, which vsd tune sets", override, name not in _OURS)


class Tuning:
    """One search: its runs, and what they say."""

    def __init__(self, args: argparse.Namespace, console: Console) -> None:
        self._args, self._console = args, console
        self._prunings = [NOTHING, *(Pruning(*each) for each in product(args.pruners, args.ratios))]
        self._count = 0

    def answer(self) -> None:
        """Prints the table and the command."""
        oracle = self._oracle()
        ranked = self._ranked(oracle)
        measured = {candidate: self._run(candidate) for candidate, _ in self._best(ranked)}
        best, *others = sorted(measured, key=lambda each: self._value(measured[each]), reverse=True)
        self._console.print(_table(ranked, measured, self._args.goal))
        said = f"[bold]best {self._args.goal}[/]  {cell(measured[best].summary, self._args.goal)}"
        if others:
            same = compared(measured[best], measured[others[0]], [self._args.goal])[0].verdict == "not told apart"
            said += f", {'not ' * same}told apart from {others[0]}"
        self._console.print(f"{said}\n  {escape(shlex.join(['vsd', *best.overrides, *self._args.overrides]))}")

    def _oracle(self) -> Oracle:
        """What is predicted, corrected by a run of each schedule."""
        runs = {pruning: self._records(Candidate(pruning, "sequential", LONG)) for pruning in self._prunings}
        short = self._records(Candidate(NOTHING, "sequential", SHORT))
        oracle = Oracle.of(self._args.goal, runs, window_share(runs[NOTHING], short))
        likely = {pruning: oracle.predict(Candidate(pruning, "sequential", ANCHOR)) for pruning in self._prunings}
        pruning = max(likely, key=lambda each: likely[each])
        anchors = [Candidate(pruning, schedule, ANCHOR) for schedule in self._args.schedules]
        return oracle.anchored([(candidate, self._value(self._run(candidate))) for candidate in anchors])

    def _ranked(self, oracle: Oracle) -> list[tuple[Candidate, float]]:
        """Every candidate with its prediction, the best first."""
        every = [Candidate(*each) for each in product(self._prunings, self._args.schedules, self._args.gammas)]
        with self._console.status(f"predicting {len(every)} settings"):
            found = [(candidate, oracle.predict(candidate)) for candidate in every]
        return sorted(found, key=lambda each: each[1], reverse=True)

    def _best(self, ranked: Sequence[tuple[Candidate, float]]) -> list[tuple[Candidate, float]]:
        """Those to measure: the best of each pruning and schedule, since next to it are its neighbours."""
        firsts = dict[tuple[Pruning, str], tuple[Candidate, float]]()
        for candidate, value in ranked:
            firsts.setdefault((candidate.pruning, candidate.schedule), (candidate, value))
        return [*firsts.values()][: self._args.measure]

    def _records(self, candidate: Candidate) -> Sequence[Record]:
        return self._run(candidate).records

    def _value(self, run: Run) -> float:
        return run.summary.values[self._args.goal]

    def _run(self, candidate: Candidate) -> Run:
        """Measured, the target alone beside it; found again if it was before."""
        folder = self._args.folder / f"{candidate}".replace(", ", "-").replace(" ", "-")
        self._count += 1
        self._console.print(f"[dim]run {self._count}[/]  {candidate}")
        quiet = [] if any(each.startswith("callbacks=") for each in self._args.overrides) else ["callbacks=quiet"]
        fixed = [*quiet, f"limit={self._args.samples}", f"out={folder}"]
        run_here([*self._args.overrides, *candidate.overrides, *fixed], folder)
        return load_run(folder)


def _table(ranked: Sequence[tuple[Candidate, float]], measured: dict[Candidate, Run], goal: str) -> Table:
    """The best, by what is predicted, and what was measured."""
    table = Table(title="predicted and measured", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("pruner", "ratio", "schedule", "gamma", "predicted", "measured"):
        table.add_column(heading, justify="left" if heading in ("pruner", "schedule") else "right", no_wrap=True)
    shown = [*ranked[:SHOWN], *(each for each in ranked[SHOWN:] if each[0] in measured)]
    for candidate, value in shown:
        (pruner, ratio), schedule, gamma = candidate
        said = cell(measured[candidate].summary, goal) if candidate in measured else ""
        table.add_row(pruner, f"{ratio:g}", schedule, str(gamma), f"{value:.2f}x", said)
    return table


if __name__ == "__main__":
    sys.exit(main())
