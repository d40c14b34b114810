"""Schedules side by side on the bundled pairs, one thread a model, with what the simulator expects of each.

The simulator takes the step times and the draft's acceptance from the sequential schedule's rounds of the same clips,
and plays them again under the other schedules: nothing of a parallel run is put into what is expected of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import perf_counter

import torch

from experiments.common import Clips, arguments, pairs, read_prompt, setting, shown, side_by_side, table
from vsd.draft import DraftRunner, DraftSession
from vsd.engine import Engine
from vsd.executors import Executor, Inline
from vsd.metrics import summarise
from vsd.metrics.record import Record
from vsd.models import Checkpoint, VideoLM
from vsd.models.tree import chain
from vsd.parallelism import Parallelism
from vsd.pruners.base import Pruner
from vsd.simulator.acceptance import Replay
from vsd.simulator.rehearsal import Setting, simulate
from vsd.step_times.profile import Profile
from vsd.types import Evidence, Prompt, Sample, Video

COLUMNS = {
    "speed-up": "speed/decode",
    "end to end": "speed/end_to_end",
    "first token": "speed/ttft",
    "worked at once": "parallel/overlap",
    "target waited": "parallel/target_wait",
    "wasted drafts": "parallel/wasted",
    "as many devices": "speed/equal_devices",
}
STEPS = 8  # that are measured apart and in turn on each clip
TOKENS = 32  # of the answer that stand already
WINDOW = 5


@dataclass(frozen=True, kw_only=True)
class Case:
    """A way to decode. `turns` names the case in which the two sides take turns, all else being equal; None if this is
    such a case. `executor` is where it drafts; `simulated` is false for what the simulator has no idea of."""

    name: str
    schedule: Parallelism
    pruner: Pruner
    executor: Executor = Inline()  # noqa: RUF009 - frozen
    gamma: int = 5
    turns: str | None = "sequential"
    simulated: bool = True

    def engine(self, target: VideoLM, loaded: VideoLM, draft: Checkpoint) -> Engine:
        return Engine(
            target=target,
            draft=draft if self.executor.remote else loaded,
            pruner=self.pruner,
            parallelism=self.schedule,
            executor=self.executor,
            gamma=self.gamma,
        )

    def expected(self, turns: Sequence[Record], apart: Apart) -> list[Record]:
        """What the simulator makes of it, from the rounds of the case in turns."""
        return simulate(
            Setting(
                times=Profile.from_records(turns, **apart.messages),
                acceptance=Replay([each.trace for each in turns if each.trace is not None]),
                parallelism=self.schedule,
                gamma=self.gamma,
                ratio=self.pruner.ratio,
                visual=1,
                paces=apart.paces,
            )
        )


@dataclass(frozen=True)
class Apart:
    """What it costs two sides to work apart on this machine: seconds of a message's way and of asking for a draft, and
    how many times longer a step of the target and a window of the draft take there than in turn on one core."""

    latency_s: float
    message_s: float
    paces: tuple[float, float]

    @property
    def messages(self) -> dict[str, float]:
        return {"latency_s": self.latency_s, "message_s": self.message_s}

    def __str__(self) -> str:
        target, draft = self.paces
        return (
            f"A message takes {self.latency_s * 1e6:.0f} µs; asking for a draft and taking it cost the target "
            f"{self.message_s * 1e6:.0f} µs each. Beside the other side a step of the target takes "
            f"{target:.2f} times as long as in turn, a window {draft:.2f} times."
        )


class Steps:
    """Measures what working apart costs, a clip at a time, on two engines of the same models, one of which has its
    draft in a process of its own. No schedule is asked: the target reads the same chain again and again behind some
    tokens of a generation, and a window is drafted behind them, before that or meanwhile."""

    def __init__(self, in_turn: Engine, apart: Engine) -> None:
        self._in_turn, self._apart = in_turn, apart
        self._found = list[tuple[float, ...]]()

    def result(self) -> Apart:
        """By the medians over all steps."""
        target_s, draft_s, target_beside_s, draft_beside_s, way_s, handling_s = (
            median(each) for each in zip(*self._found, strict=True)
        )
        return Apart(
            latency_s=(way_s - handling_s) / 2,
            message_s=handling_s / 2,
            paces=(target_beside_s / target_s, draft_beside_s / draft_s),
        )

    @torch.inference_mode()
    def measure(self, sample: Sample, video: Video) -> None:
        """Some steps on a clip: seconds of both sides in turn, of both at once, and of a message and its answer."""
        target, pruner = self._in_turn.target, self._in_turn.pruner
        assert pruner is not None
        answer = self._in_turn.run(video, sample.question).tokens
        prompt = target.encode(video, sample.question)
        state, evidence = read_prompt(target, prompt, pruner.needs)
        here, there = (
            self._draft(engine, video, sample.question, prompt, evidence) for engine in (self._in_turn, self._apart)
        )
        tokens, nodes = answer[:TOKENS], torch.tensor(answer[: WINDOW + 1])

        def verify() -> float:
            start = perf_counter()
            target.forward(nodes, chain(len(nodes)), state).logits_MW.argmax(-1).tolist()
            state.commit(())
            return perf_counter() - start

        for _ in range(STEPS):
            window = here.propose(tokens=tokens, rounds=[], gamma=WINDOW)
            alone_s = verify()
            job = there.start(tokens=tokens, rounds=[], gamma=WINDOW)
            beside_s, theirs = verify(), job.result()
            start = perf_counter()
            waited = there.propose(tokens=tokens, rounds=[], gamma=WINDOW)
            way_s = perf_counter() - start - waited.seconds
            start = perf_counter()
            job = there.start(tokens=tokens, rounds=[], gamma=1)  # is done before the target is
            asked = perf_counter()
            verify()
            taking = perf_counter()
            job.result()
            handling_s = asked - start + perf_counter() - taking
            self._found.append((alone_s, window.seconds, beside_s, theirs.seconds, way_s, handling_s))

    def _draft(self, engine: Engine, video: Video, question: str, prompt: Prompt, evidence: Evidence) -> DraftSession:
        """The draft's side of a sample, whose prompt is read."""
        see = partial(DraftRunner.encode, video=video, question=question)
        session = engine._draft_session(see, prompt, engine.target.clock())
        assert session is not None
        session.ready(evidence)
        return session


def gain(ours: Sequence[Record], turns: Sequence[Record]) -> list[Record]:
    """The records with the schedule in turns in the place of the baseline."""
    return [replace(mine, baseline=theirs.trace) for mine, theirs in zip(ours, turns, strict=True)]


def measure(cases: Sequence[Case], target: VideoLM, draft: Checkpoint, clips: Clips) -> list[list[object]]:
    """A row a case."""
    loaded = draft.load()
    engines = [case.engine(target, loaded, draft) for case in cases]
    steps = Steps(engines[0], next(each for each in engines if each.executor.remote))
    try:
        records = side_by_side(engines, clips, also=steps.measure)
    finally:
        for engine in engines:
            engine.close()
    apart, found = steps.result(), dict(zip((case.name for case in cases), records, strict=True))
    print(apart, "\n")
    by_name = {case.name: case for case in cases}
    return [row(case, by_name[case.turns or case.name], found, apart) for case in cases]


def row(case: Case, in_turns: Case, found: dict[str, list[Record]], apart: Apart) -> list[object]:
    records, turns = found[case.name], found[in_turns.name]
    summary = summarise(records)
    values, errors = summary.values, summary.errors
    cells: list[object] = [case.name, *(shown(values, errors, each) for each in COLUMNS.values())]
    if case is in_turns:
        return [*cells, "1", "1", int(values["exact/mismatched"])]
    compared = gain(records, turns)
    against = summarise(compared)
    gained = against.values["speed/decode"]
    cells += [shown(against.values, against.errors, "speed/decode"), "–"]
    if case.simulated:
        expected = gain(case.expected(turns, apart), in_turns.expected(turns, apart))
        theory = summarise(expected).values["speed/decode"]
        cells[-1] = f"{theory:.2f} ({gained / theory - 1:+.0%})"
    return [*cells, int(values["exact/mismatched"])]


def main(doc: str | None, cases: Sequence[Case]) -> None:
    """Prints a table for each pair."""
    args = arguments(doc).parse_args()
    torch.set_num_threads(1)
    clips = Clips.of(args)
    print(setting(), clips, "\n")
    head = ["schedule", *COLUMNS, "gain over turns", "expected", "mismatched"]
    for family, target, draft in pairs(args):
        print(f"### {family}, {args.draft}\n")
        rows = measure(cases, target, draft, clips)
        print(table(head, rows), "\n", flush=True)
