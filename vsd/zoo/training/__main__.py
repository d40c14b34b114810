"""Trains the bundled pairs: ``python -m vsd.zoo.training [--family F] [--stage S] (--minutes M | --steps N) ...``

Stages in order: tower, target, near, other, evaluate; without --stage all of them. A stage that was stopped goes on
where its state was last kept (each minute, and when it is interrupted); the same command starts it again. State, curves
(JSON lines) and the evaluation are in --work, checkpoints in --out.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import torch

from vsd.zoo.training import FAMILIES
from vsd.zoo.training.batches import BATCH_TOKENS
from vsd.zoo.training.evaluate import EvaluationError, evaluate, table, write
from vsd.zoo.training.models import ROLES
from vsd.zoo.training.run import PRECISION, Budget, StateError
from vsd.zoo.training.stages import PEAKS, Training


class Means(NamedTuple):
    """What a device is given: `minutes` of each stage, for each family; processes that draw ahead; tokens a batch."""

    minutes: dict[str, float]
    workers: int
    batch_tokens: int


_WORKERS = max(1, min(7, (os.cpu_count() or 1) - 1))
MEANS = {
    "cpu": Means({"tower": 18.0, "target": 80.0, "near": 10.0, "other": 12.0}, 0, BATCH_TOKENS),
    "cuda": Means({"tower": 4.0, "target": 7.0, "near": 5.0, "other": 5.0}, _WORKERS, 4 * BATCH_TOKENS),
}
"""One core; or a GPU, which waits most of the time for the cores that draw its batches."""
STAGES = ("tower", *ROLES, "evaluate")


def main(argv: list[str] | None = None) -> None:
    parser = _parser()
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    stages = args.stage or STAGES
    try:
        budgets = {stage: _budget(args, stage) for stage in stages if stage != "evaluate"}
    except ValueError as error:
        parser.error(str(error))
    for family in args.family or FAMILIES:
        for stage in stages:
            try:
                _evaluate(args, family) if stage == "evaluate" else _train(args, family, stage, budgets[stage])
            except (FileNotFoundError, EvaluationError, StateError) as error:
                parser.error(str(error))


def _budget(args: argparse.Namespace, stage: str) -> Budget:
    given = args.minutes is not None or args.steps is not None
    return Budget(steps=args.steps, minutes=args.minutes if given else _means(args).minutes[stage])


def _means(args: argparse.Namespace) -> Means:
    return MEANS["cpu" if args.device == "cpu" else "cuda"]


def _train(args: argparse.Namespace, family: str, stage: str, budget: Budget) -> None:
    Training(
        family=FAMILIES[family],
        budget=budget,
        work=args.work,
        out=_weights(args),
        seed=args.seed,
        heads=args.heads == "tail",
        device=args.device,
        peaks=PEAKS | ({stage: args.peak} if args.peak else {}),
        precision=getattr(torch, args.precision),
        batch_tokens=args.batch_tokens or _means(args).batch_tokens,
        workers=_means(args).workers if args.workers is None else args.workers,
    ).stage(stage)


def _evaluate(args: argparse.Namespace, family: str) -> None:
    target = "target" if args.heads == "tail" else "target-plain"
    report = evaluate(_weights(args) / family, target=target, clips=args.clips, most=args.most)
    write(report, args.work / family / f"evaluation-{target}.json")
    print(table(report))


def _weights(args: argparse.Namespace) -> Path:
    folder: Path = args.out or args.work / "weights"
    return folder


def _by(name: str) -> str:
    """Of each device."""
    return "; ".join(f"{device} {getattr(means, name)}" for device, means in MEANS.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vsd.zoo.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", choices=FAMILIES, action="append", help="default: both")
    parser.add_argument("--stage", choices=STAGES, action="append", help="default: all, in their order")
    parser.add_argument("--minutes", type=float, help=f"of training a stage; default: {_by('minutes')}")
    parser.add_argument("--steps", type=int, help="instead of minutes: on a CPU the same weights each time")
    parser.add_argument("--work", type=Path, default=Path("runs/zoo"), help="where state and curves are kept")
    parser.add_argument("--out", type=Path, help="where checkpoints are written; default: weights in --work")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    heads = "which layers of a target must state the facts; with none it is named target-plain"
    parser.add_argument("--heads", choices=("tail", "none"), default="tail", help=heads)
    parser.add_argument("--peak", type=float, help=f"learning rate; default: {PEAKS}")
    usual = str(PRECISION).removeprefix("torch.")
    fast = "of forward passes; bfloat16 is a fifth faster on a CPU that has its instructions, and slower on others"
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default=usual, help=fast)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    ahead = "processes that draw batches ahead; a GPU waits for its batches otherwise"
    parser.add_argument("--workers", type=int, help=f"{ahead}; default: {_by('workers')}")
    tokens = "of a language model's batch, about"
    parser.add_argument("--batch-tokens", type=int, help=f"{tokens}; default: {_by('batch_tokens')}")
    parser.add_argument("--clips", help="folder of clips to evaluate on; default: the bundled ones")
    parser.add_argument("--most", type=int, help="clips of each length to evaluate on")
    return parser


if __name__ == "__main__":
    main()
