"""Real models whose steps take the time of another machine.

Every token is computed here, one step after the other, while the clock shows what a profile or a roofline says. So one
device tells what two would give, with the acceptance of the very models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Generic, cast

from vsd.draft import DraftRunner
from vsd.executors.base import DraftClient, Executor, MakeRunner, Pending, Request, Sides, T, loaded
from vsd.executors.inline import InlineClient
from vsd.models.base import VideoLM
from vsd.pruners.base import Pruner
from vsd.step_times.devices import DEVICES, several
from vsd.step_times.profile import Profile
from vsd.step_times.roofline import USUAL_EFFICIENCY, Machine, Roofline, efficiency_of
from vsd.step_times.shapes import from_config
from vsd.step_times.timed import TimedDraft, TimedPruner, TimedTarget
from vsd.step_times.times import Times
from vsd.step_times.virtual_clock import VirtualClock
from vsd.utils.validation import require

RULE = f"a file of step times, or devices for target and draft like 'l40s*8,l40s', of {', '.join(DEVICES)}"


@dataclass(frozen=True, kw_only=True)
class Simulated(Executor):
    """Both work on this thread, in the time of another machine, by `profile`: a file of step times, or the devices of
    target and draft, `efficiency` being the share of a data sheet's speed that is reached (or "eager" or "engine", see
    `vsd.step_times.roofline`). A schedule that has both sides work at once has a device for each."""

    simulated: ClassVar[bool] = True

    profile: str
    efficiency: float | str = USUAL_EFFICIENCY

    def __post_init__(self) -> None:
        self._source()

    def _source(self) -> Profile | tuple[Machine, Machine]:
        return read_profile(self.profile, efficiency=efficiency_of(self.efficiency, field="executor.efficiency"))

    def connect(self, sides: Sides, make: MakeRunner | None, *, overlaps: bool) -> Sides:
        draft = loaded(sides.draft) if sides.draft is not None else None
        source = self._source()
        times: Times = source if isinstance(source, Profile) else _roofline(source, sides.target, draft or sides.target)
        spread = times.spread if overlaps else (0.0, 0.0)
        here = VirtualClock(spread=spread[0])
        there = VirtualClock(spread=spread[1], seed=(1,)) if overlaps else here
        names = times.device_names(apart=overlaps)
        draft = cast(VideoLM, TimedDraft(draft, times, there, names[1])) if draft is not None else None
        return replace(
            sides,
            target=cast(VideoLM, TimedTarget(sides.target, times, here, names[0])),
            draft=draft,
            pruner=cast(Pruner, TimedPruner(sides.pruner, times, here)) if sides.pruner is not None else None,
            client=VirtualClient(InlineClient(make(draft, clock=there.clock)), times, here=here, there=there)
            if make
            else None,
        )


def read_profile(
    source: str, *, efficiency: float = USUAL_EFFICIENCY, field: str = "executor.profile"
) -> Profile | tuple[Machine, Machine]:
    """The step times that a file holds, or the devices that are named: the target's, then the draft's if it has others.
    Raises ValueError for anything else."""
    require(field, RULE, source, isinstance(source, str) and bool(source))
    if Path(source).is_file():
        return Profile.load(Path(source), field=field)
    machines = list[Machine]()
    for part in source.split(","):
        named = several(part)
        if named is None:
            raise ValueError(f"{field}: must be {RULE}, got {source!r}")
        machines.append(Machine(device=DEVICES[named[0]], count=named[1], efficiency=efficiency))
    require(field, RULE, source, len(machines) <= 2)
    return machines[0], machines[-1]


def _roofline(machines: tuple[Machine, Machine], target: VideoLM, draft: VideoLM) -> Roofline:
    shapes = from_config(target.model.config), from_config(draft.model.config)
    return Roofline(target=shapes[0], draft=shapes[1], target_on=machines[0], draft_on=machines[1])


class VirtualClient(DraftClient):
    """Asks a runner in virtual time. It computes at once, on the clock `there`, and is done later on the clock `here`,
    which is the schedule's own; with one clock for both, the work is waited for.

    A message takes `latency_s` seconds each way, asking for an answer or taking it `message_s` here, and a window
    `window_s` beside its passes. What is asked for while the runner is busy waits for its turn; what nobody needs any
    more is finished all the same, as by every client.
    """

    def __init__(self, inner: DraftClient, times: Times, *, here: VirtualClock, there: VirtualClock) -> None:
        self._inner, self._times, self._here, self._there = inner, times, here, there
        self._apart = here is not there

    def start(self, request: Request[T]) -> Pending[T]:
        if self._apart:
            self._here.now += self._times.message_s
            self._there.begin()
            self._there.until(self._here.now + self._times.latency_s)
        if request.func is DraftRunner.propose:
            self._there.owe(self._times.window_s)
        done = self._inner.start(request)  # spends the time that it takes over there
        return _Later(done, self._times, self._here, self._there) if self._apart else done

    def forget(self) -> None:
        self._inner.forget()  # takes no time


class _Later(Generic[T]):
    """A result that arrives when the work is done: who asks for it waits until then."""

    def __init__(self, done: Pending[T], times: Times, here: VirtualClock, there: VirtualClock) -> None:
        self._done, self._here, self._there = done, here, there
        self._moment = there.now + times.latency_s - there.late
        self._message_s = times.message_s

    def result(self) -> T:
        self._here.until(self._moment + self._there.late)
        self._here.now += self._message_s
        self._message_s = 0.0  # it is taken once
        return self._done.result()
