"""What does the decoding loop itself cost? ``OMP_NUM_THREADS=1 python -m experiments.loop.measure``

Of the decode time of the bundled pairs, the share that is spent outside the models: outside the embedding, the
layers and the head of target and draft, which transformers' modules or what was compiled of them compute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from time import perf_counter
from typing import Any

import torch

from experiments.common import Clips, arguments, pairs, setting, table
from vsd.draft import DraftSession
from vsd.engine import Engine
from vsd.models import VideoLM
from vsd.models.steps import COMPILES, Compile
from vsd.parallelism import Autoregressive, Parallelism, Sequential
from vsd.pruners.hippo import Hippo
from vsd.session import Session

FORWARD = ("run", "logits")
"""What of a model is computed by transformers, besides the embedding."""
RUNS: tuple[Compile, ...] = ("none", "inductor")


class Stopwatch:
    """Seconds of decoding, and those of them that were spent in models."""

    def __init__(self) -> None:
        self._decoding = False
        self.reset()

    def reset(self) -> None:
        """Begin to count anew."""
        self.decode_s = self.models_s = 0.0

    def watch(self, model: VideoLM) -> None:
        """Count this model's forwards from now on."""
        if model.steps is not None:
            make = model.steps._make
            model.steps._make = lambda *form: self._timed(make(*form))  # type: ignore[method-assign]
            return
        for name in FORWARD:
            setattr(model, name, self._timed(getattr(model, name)))
        model.embed.forward = self._timed(model.embed.forward)

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = perf_counter()
            result = call(*args, **kwargs)
            if self._decoding:
                self.models_s += perf_counter() - start
            return result

        return timed

    def decode(self, schedule: Parallelism, session: Session, draft: DraftSession | None) -> None:
        """The schedule's decoding, with the watch running."""
        self._decoding, start = True, perf_counter()
        schedule.decode(session, draft)
        self.decode_s += perf_counter() - start
        self._decoding = False

    @property
    def outside(self) -> float:
        """The share of decode time outside the models."""
        return 1 - self.models_s / self.decode_s


@dataclass(frozen=True, kw_only=True)
class Watched(Sequential):
    """A schedule under a stopwatch."""

    schedule: Parallelism
    stopwatch: Stopwatch

    def decode(self, session: Session, draft: DraftSession | None) -> None:
        self.stopwatch.decode(self.schedule, session, draft)


def outside(engine: Engine, stopwatch: Stopwatch, clips: Clips) -> tuple[float, int]:
    """The share of decode time outside the models, and the rounds; the first question warms up."""
    for model in (engine.target, engine.draft):
        if isinstance(model, VideoLM):
            stopwatch.watch(model)
    rounds = 0
    for number, (sample, video) in enumerate(clips):
        if not number:
            engine.run(video, sample.question)
            stopwatch.reset()
        rounds += len(engine.run(video, sample.question, seed=number).rounds)
    return stopwatch.outside, rounds


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--gamma", type=int, default=5)
    parser.add_argument("--compile", choices=COMPILES, action="append", help="default: none and inductor")
    parser.set_defaults(limit=32)
    args = parser.parse_args()
    torch.set_num_threads(1)
    clips = Clips.of(args)
    print(setting(), clips, f"Drafts {args.draft}, HIPPO's pruning at {args.ratio}, gamma {args.gamma}.\n")
    found = []
    schedules = (Autoregressive(), Sequential())
    for (family, target, draft), compile, schedule in product(pairs(args), args.compile or RUNS, schedules):
        stopwatch = Stopwatch()
        engine = Engine(
            target=target.twin().computed_by(compile=compile),
            draft=draft.load().computed_by(compile=compile),
            pruner=Hippo(ratio=args.ratio),
            parallelism=Watched(schedule=schedule, stopwatch=stopwatch),
            gamma=args.gamma,
        )
        share, rounds = outside(engine, stopwatch, clips)
        milliseconds = f"{1000 * stopwatch.decode_s / rounds:.2f}"
        found.append([family, type(schedule).__name__, compile, rounds, milliseconds, f"{share:.1%}"])
    print(table(["family", "schedule", "compile", "rounds", "ms a round", "outside the models"], found))


if __name__ == "__main__":
    main()
