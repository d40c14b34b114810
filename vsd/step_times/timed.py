"""Models and a pruner that compute as ever, while a virtual clock spends the times of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from vsd.step_times.times import Times
from vsd.step_times.virtual_clock import VirtualClock
from vsd.types import Evidence, Prompt, Video
from vsd.utils.clock import Clock


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


class TimedTarget(_Model):
    def encode(self, video: Video, question: str, **options: Any) -> Prompt:
        prompt: Prompt = self._inner.encode(video, question, **options)
        self._time.begin()
        self._time.spend(self._times.encode_s(prompt.grid.tokens))
        return prompt

    def start_prefill(self, prompt: Prompt, **options: Any) -> TimedPrefill:
        seconds = self._times.prefill_s(prompt.length)
        return TimedPrefill(self._inner.start_prefill(prompt, **options), seconds, self._inner.depth, self._time)

    def forward(self, ids_M: Tensor, parents_M: Sequence[int], state: Any, **options: Any) -> Any:
        self._time.begin()
        self._time.spend(self._times.verify_s(len(ids_M), state.length))
        return self._inner.forward(ids_M, parents_M, state, **options)


class TimedPrefill:
    """A prefill that takes so many seconds over all layers."""

    def __init__(self, inner: Any, seconds: float, depth: int, time: VirtualClock) -> None:
        self.state = inner.state
        self._inner, self._left_s, self._depth, self._time = inner, seconds, depth, time

    def until(self, layer: int) -> bool:
        there: bool = self._inner.until(layer)
        if there:
            passed = self._left_s * layer / self._depth
            self._time.spend(passed)
            self._left_s -= passed
        return there

    def finish(self) -> Tensor:
        logits_W: Tensor = self._inner.finish()
        self._time.spend(self._left_s)
        return logits_W


class TimedDraft(_Model):
    def encode(self, video: Video, question: str, **options: Any) -> Prompt:
        prompt: Prompt = self._inner.encode(video, question, **options)
        self._time.spend(self._times.draft_encode_s(prompt.grid.tokens))
        return prompt

    def prefill(self, prompt: Prompt, **options: Any) -> Any:
        self._time.spend(self._times.draft_prefill_s(prompt.length))
        return self._inner.prefill(prompt, **options)

    def forward(self, ids_M: Tensor, parents_M: Sequence[int], state: Any, **options: Any) -> Any:
        self._time.spend(self._times.draft_s(len(ids_M), state.length))
        return self._inner.forward(ids_M, parents_M, state, **options)


class TimedPruner(_Wrapper):
    """A `Pruner` that takes its time."""

    def keep(self, evidence: Evidence) -> Tensor:
        self._time.spend(self._times.prune_s(evidence.grid.tokens))
        kept_K: Tensor = self._inner.keep(evidence)
        return kept_K
