"""Real models whose steps take the time of another machine: `executor: simulated` of the schedules.

Every token is computed here, one step after the other, while the clock shows what a profile or a roofline says. So one
device tells what two would give, with the acceptance of the very models.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from vsd.executors.virtual_worker import Elsewhere
from vsd.executors.workers import Worker
from vsd.models.base import Early, VideoLM
from vsd.models.hidden import layer_number
from vsd.pruners.base import Pruner
from vsd.simulator.devices import DEVICES
from vsd.simulator.profile import Profile
from vsd.simulator.roofline import Machine, Roofline
from vsd.simulator.shapes import from_config
from vsd.simulator.times import Times
from vsd.simulator.virtual_clock import VirtualClock
from vsd.types import Evidence, Prompt, Video
from vsd.utils.clock import Clock
from vsd.utils.validation import require

EFFICIENCY = 0.6  # share of the data sheet's numbers that a roofline takes to be reached
RULE = f"a file of step times, or devices for target and draft like 'l40s*8,l40s', of {', '.join(DEVICES)}"


def read(source: str, *, field: str = "parallelism.profile") -> Profile | tuple[Machine, Machine]:
    """The step times that a file holds, or the devices that are named: the target's, then the draft's if it has others.
    Raises ValueError for anything else."""
    require(field, RULE, source, isinstance(source, str) and bool(source))
    if Path(source).is_file():
        return Profile.load(Path(source), field=field)
    machines = list[Machine]()
    for part in source.split(","):
        name, star, count = part.strip().partition("*")
        require(field, RULE, source, name in DEVICES and (not star or (count.isdecimal() and int(count) > 0)))
        machines.append(Machine(device=DEVICES[name], count=int(count or 1), efficiency=EFFICIENCY))
    require(field, RULE, source, len(machines) <= 2)
    return machines[0], machines[-1]


class Live:
    """One engine's models, pruner and worker, set to virtual time. `apart`: the draft works on a device of its own."""

    def __init__(self, source: str, target: VideoLM, draft: VideoLM | None, *, apart: bool) -> None:
        found = read(source)
        self.times: Times = found if isinstance(found, Profile) else _roofline(found, target, draft or target)
        uneven = self.times.spread if apart else (0.0, 0.0)
        self.here = VirtualClock(spread=uneven[0])
        self.there = VirtualClock(spread=uneven[1], seed=(1,)) if apart else self.here
        self._apart = apart
        self._drafts = draft is not None

    def target(self, model: VideoLM) -> VideoLM:
        return cast(VideoLM, _Target(model, self.times, self.here, self.times.device_names(apart=self._apart)[0]))

    def draft(self, model: VideoLM) -> VideoLM:
        return cast(VideoLM, _Draft(model, self.times, self.there, self.times.device_names(apart=self._apart)[1]))

    def pruner(self, pruner: Pruner) -> Pruner:
        return cast(Pruner, _Pruner(pruner, self.times, self.here))

    def worker(self, worker: Worker) -> Worker:
        if self._drafts:
            worker = _Windows(worker, self.times, self.there)
        if not self._apart:
            return worker
        return Elsewhere(worker, here=self.here, there=self.there, **self.times.messages)


def _roofline(machines: tuple[Machine, Machine], target: VideoLM, draft: VideoLM) -> Roofline:
    theirs, ours = from_config(target.model.config), from_config(draft.model.config)
    return Roofline(target=theirs, draft=ours, target_on=machines[0], draft_on=machines[1])


class _Windows(Worker):
    """Another worker, whose windows take what they cost beside their passes."""

    def __init__(self, inner: Worker, times: Times, time: VirtualClock) -> None:
        self._inner, self._times, self._time = inner, times, time

    def close(self) -> None:
        self._inner.close()

    def forget(self) -> None:
        self._inner.forget()

    def _submit(self, method: str, *args: Any) -> Future[Any]:
        if method == "propose":
            self._time.owe(self._times.window_s)
        return self._inner._submit(method, *args)


class _Wrapper:
    """Another object, but for the methods that a subclass has."""

    def __init__(self, inner: Any, times: Times, time: VirtualClock) -> None:
        self._inner, self._times, self._time = inner, times, time

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Model(_Wrapper):
    """A `VideoLM`: the same results, other times, other devices."""

    def __init__(self, inner: Any, times: Times, time: VirtualClock, device_names: frozenset[str]) -> None:
        super().__init__(inner, times, time)
        self.device_names = device_names

    def clock(self) -> Clock:
        return self._time.clock()

    def narrow(self, vocab: int) -> _Model:
        return type(self)(self._inner.narrow(vocab), self._times, self._time, self.device_names)

    def twin(self) -> _Model:
        return type(self)(self._inner.twin(), self._times, self._time, self.device_names)


class _Target(_Model):
    def encode(self, video: Video, question: str) -> Prompt:
        prompt: Prompt = self._inner.encode(video, question)
        self._time.begin()
        self._time.spend(self._times.encode_s(prompt.grid.tokens))
        return prompt

    def prefill(self, prompt: Prompt, *, early: Early | None = None, **options: Any) -> Any:
        seconds, before = self._times.prefill_s(prompt.length), 0.0

        def call(evidence: Evidence) -> None:
            nonlocal before
            assert early is not None
            layers = [need.removeprefix("hidden:") for need in early.needs if need.startswith("hidden:")]
            last = max((layer_number(layer, self._inner.depth) for layer in layers), default=0)
            before = seconds * last / self._inner.depth
            self._time.spend(before)
            early.call(evidence)

        result = self._inner.prefill(prompt, early=replace(early, call=call) if early else None, **options)
        self._time.spend(seconds - before)
        return result

    def forward(self, ids_M: Tensor, parents_M: Sequence[int], state: Any, **options: Any) -> Any:
        self._time.begin()
        self._time.spend(self._times.verify_s(len(ids_M), state.length))
        return self._inner.forward(ids_M, parents_M, state, **options)


class _Draft(_Model):
    def encode(self, video: Video, question: str) -> Prompt:
        prompt: Prompt = self._inner.encode(video, question)
        self._time.spend(self._times.draft_encode_s(prompt.grid.tokens))
        return prompt

    def prefill(self, prompt: Prompt, **options: Any) -> Any:
        self._time.spend(self._times.draft_prefill_s(prompt.length))
        return self._inner.prefill(prompt, **options)

    def forward(self, ids_M: Tensor, parents_M: Sequence[int], state: Any, **options: Any) -> Any:
        self._time.spend(self._times.draft_s(len(ids_M), state.length))
        return self._inner.forward(ids_M, parents_M, state, **options)


class _Pruner(_Wrapper):
    """A `Pruner` that takes its time."""

    def keep(self, evidence: Evidence) -> Tensor:
        self._time.spend(self._times.prune_s(evidence.tokens))
        kept_K: Tensor = self._inner.keep(evidence)
        return kept_K
