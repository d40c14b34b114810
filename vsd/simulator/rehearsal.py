"""Runs the engine without models: the same schedules, verifiers and bookkeeping, in virtual time.

What comes out are records like a measured run's, so that every number of it is one of `vsd.metrics.stats`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np

from vsd.engine import Engine
from vsd.executors import Executor, Inline, Sides
from vsd.executors.base import MakeRunner
from vsd.executors.simulated import VirtualClient
from vsd.metrics import summarise
from vsd.metrics.record import Record, without_rounds
from vsd.models.base import VideoLM
from vsd.parallelism import Parallelism, Sequential
from vsd.simulator.acceptance import Acceptance, Script
from vsd.simulator.stubs import StubDraft, StubDrafter, StubPruner, StubTarget
from vsd.step_times.times import Times
from vsd.step_times.virtual_clock import VirtualClock
from vsd.types import Sample, Trace, Video

FIRST = 16  # generations before the first look at the standard error
NOTHING = Video(frames=np.empty((0, 0, 0, 3), np.uint8), timestamps=np.empty(0))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is simulated: times, acceptance and the dials. `paths` is a tree's form, empty for chains.

    `paces` say how many times slower target and draft are while both work, where they share a host. `early` is the
    share of the target's prefill after which the pruner's evidence is there, for schedules that draft early: UV-Prune's
    middle layer by default. `visual` and `text` tokens of a prompt and `tokens` of a generation hold where `acceptance`
    is no recording.
    """

    times: Times
    acceptance: Acceptance
    parallelism: Parallelism = Sequential()  # noqa: RUF009 - frozen
    gamma: int = 5
    ratio: float = 0.0
    paths: str = ""
    early: float = 0.5
    paces: tuple[float, float] = (1.0, 1.0)
    visual: int = 0
    text: int = 64
    tokens: int = 256
    seed: int = 0

    def script(self, number: int) -> Script:
        return self.acceptance.script(number, seed=self.seed, visual=self.visual, text=self.text, tokens=self.tokens)


def simulate(setting: Setting, *, precision: float = 0.01, most: int = 1024) -> list[Record]:
    """Generations with the target alone beside them: every one of a recording; else so many that the standard error of
    `speed/decode` is below `precision` of it, at most `most`."""
    rehearsal, count = Rehearsal(setting), setting.acceptance.scripts
    if count is not None:
        return [rehearsal.record(number) for number in range(count)]
    records: list[Record] = []
    alone: Trace | None = None
    wanted = FIRST
    while len(records) < wanted:
        for number in range(len(records), wanted):
            records.append(rehearsal.record(number, alone))
            alone = records[-1].baseline  # the target alone knows no draws: it is the same for all
        error = accuracy(records)
        if error > precision:  # it falls with the root of their number; some more, since it is itself an estimate
            wanted = min(most, max(len(records) + FIRST, round(1.1 * len(records) * (error / precision) ** 2)))
    return records


class Rehearsal:
    """Plays scripts in one setting. Schedules that learn from their rounds learn from all of them."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._apart = setting.parallelism.overlaps

    def record(self, number: int, alone: Trace | None = None) -> Record:
        """One generation, and the target alone on it (`alone`, if that is known)."""
        script = self.setting.script(number)
        trace = self.play(script, number)
        if alone is None:
            alone = without_rounds(self.play(script, number, alone=True))
        return Record(sample=Sample(id=str(number), video=str(number), question=""), trace=trace, baseline=alone)

    def play(self, script: Script, number: int = 0, *, alone: bool = False) -> Trace:
        """One generation's trace, of the setting's schedule or of the target alone."""
        setting, apart = self.setting, self._apart and not alone
        paces = setting.paces if apart else (1.0, 1.0)
        uneven = setting.times.spread if apart else (0.0, 0.0)
        there = VirtualClock(paces[1], spread=uneven[1], seed=(setting.seed, number, 1))
        here = VirtualClock(paces[0], beside=there, spread=uneven[0], seed=(setting.seed, number, 0))
        if not self._apart:
            there = here
        theirs, ours = setting.times.device_names(apart=self._apart)
        target = StubTarget(script=script, times=setting.times, time=here, device_names=theirs, early=setting.early)
        draft = StubDraft(script=script, times=setting.times, time=there, device_names=ours)
        engine = Engine(
            target=cast(VideoLM, target),
            draft=cast(VideoLM, draft),
            pruner=StubPruner(ratio=setting.ratio, times=setting.times, time=here) if setting.visual else None,
            drafter=StubDrafter(script=script, paths=setting.paths),
            parallelism=setting.parallelism,
            executor=Played(times=setting.times, here=here, there=there),
            gamma=setting.gamma,
            max_new_tokens=script.limit,
            share_vision=False,  # there are no weights; a draft that encodes in no time shares
        )
        return (engine.baseline() if alone else engine).run(NOTHING, "")


@dataclass(frozen=True, kw_only=True)
class Played(Executor):
    """One generation's, in the time of its two clocks: the schedule's own and the draft's."""

    simulated: ClassVar[bool] = True

    times: Times
    here: VirtualClock
    there: VirtualClock

    def connect(self, sides: Sides, make: MakeRunner | None, *, overlaps: bool) -> Sides:
        inline = Inline().connect(sides, make, overlaps=overlaps)
        if inline.client is None:
            return inline
        client = VirtualClient(inline.client, self.times, here=self.here, there=self.there)
        return replace(inline, client=client)


def accuracy(records: Sequence[Record], name: str = "speed/decode") -> float:
    """Standard error of a metric as a share of it."""
    summary = summarise(records)
    return summary.errors.get(name, 0.0) / summary.values[name]
