"""Which setting is fastest here? ``vsd tune [OVERRIDE ...]``

For this pair, these videos and this machine: the draft's length, the schedule, the pruner and its ratio. Short
sequential runs give step times and acceptance, the simulator predicts every combination, one run of each schedule says
how far predictions of it are off, and the best are measured. It ends with the best one as a command. A command that is
repeated goes on where it stopped. Examples:

  vsd tune
  vsd tune target=tiny_llava --goal speed/end_to_end
  vsd tune --pruners hippo,uniform --ratios 0.8,0.9 --gammas 2-8 target=tiny_llava
  vsd tune --schedules sequential --samples 16 data=folder data.path=videos target=qwen2_5_vl_7b device=cuda
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from hydra.errors import HydraException
from rich.console import Console

from vsd.cli import CONF
from vsd.commands.lists import names, numbers, whole_numbers
from vsd.commands.tune.candidate import SCHEDULES, UNPRUNED, Pruning
from vsd.commands.tune.search import Search
from vsd.run import app, disk
from vsd.run.results.dials import group_of
from vsd.utils.validation import require, require_one_of, require_whole

GOALS = ("speed/decode", "speed/end_to_end")
_OURS = frozenset({"pruner", "ratio", "parallelism", "gamma", "limit", "out", "baseline", "dry_run"})


def main(argv: Sequence[str] | None = None) -> int:
    """Calibrates, predicts, measures, and prints the best. Exit codes: 0 done, 1 no sample could be decoded, 2 refused,
    130 interrupted."""
    args = _options().parse_intermixed_args(argv)
    try:
        search = _search(args)
        with disk.room(args.folder):
            search.run()
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on", file=sys.stderr)
        return 130
    except (HydraException, ValueError) as error:  # a UsageError is one
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
    parser.add_argument("--goal", default=GOALS[0], help=f"{' or '.join(GOALS)} (default {GOALS[0]})")
    parser.add_argument("--pruners", default="uniform,specvlm,uv_prune,hippo", help="list; none is tried besides")
    parser.add_argument("--ratios", default="0.5,0.8,0.9", help="list (default 0.5,0.8,0.9)")
    parser.add_argument("--schedules", default=",".join(SCHEDULES), help=f"list of {', '.join(SCHEDULES)}")
    parser.add_argument("--gammas", default="1-10", help="list (default 1-10)")
    parser.add_argument("--samples", type=int, default=8, help="of each run (default 8)")
    parser.add_argument("--measure", type=int, default=4, help="how many of the best are measured (default 4)")
    parser.add_argument("--folder", type=Path, default=Path("outputs/tune"))
    return parser


def _search(args: argparse.Namespace) -> Search:
    """ValueError for what is no choice."""
    require_one_of("--goal", args.goal, GOALS)
    known = tuple(sorted({file.stem for file in (CONF / "pruner").glob("*.yaml")} - {UNPRUNED.pruner}))
    pruners = names("--pruners", args.pruners, known)
    ratios = numbers("--ratios", args.ratios, "numbers in (0, 1)", lambda value: 0 < value < 1)
    for name in ("samples", "measure"):
        require_whole(f"--{name}", getattr(args, name), least=1)
    for override in args.overrides:
        ours = group_of(override) in _OURS
        require("OVERRIDE", f"none of {', '.join(sorted(_OURS))}, which vsd tune sets", override, not ours)
    schedules = names("--schedules", args.schedules, (*SCHEDULES,))
    require("--schedules", f"a list of {', '.join(SCHEDULES)}", args.schedules, bool(schedules))
    return Search(
        goal=args.goal,
        prunings=(UNPRUNED, *(Pruning(*each) for each in product(pruners, ratios))),
        schedules=(*schedules,),
        gammas=(*whole_numbers("--gammas", args.gammas),),
        samples=args.samples,
        measure=args.measure,
        folder=args.folder,
        overrides=(*args.overrides,),
        console=Console(),
    )


if __name__ == "__main__":
    sys.exit(main())
