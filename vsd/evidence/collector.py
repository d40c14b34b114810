"""All probes of one sample: what they are shown, and what they have found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from vsd.evidence.base import Attended, Probe, Reading, parsed
from vsd.types import Evidence


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Shows probes what a model of `depth` layers reads: a piece of the prompt that begins at token `start`, or a later
    pass (None); with its `attention` or without."""

    probes: tuple[Probe, ...]
    depth: int
    start: int | None = None
    attention: bool = True

    def see_states(self, layer: int, states_MD: Tensor) -> None:
        """The states behind a layer (0: the embeddings)."""
        for probe in self.probes:
            if layer not in probe.layers:
                continue
            if self.start is None:
                probe.pass_states(layer, states_MD)
            else:
                probe.prompt_states(layer, states_MD, self.start)

    def see_attention(self, layer: int, attended: Attended) -> None:
        """The attention of a layer, counted from 1."""
        for probe in self.probes:
            if layer in probe.attention:
                (probe.pass_attention if self.start is None else probe.prompt_attention)(layer, attended)

    @contextmanager
    def hooked(self, layers: Any) -> Iterator[None]:
        """Take the states between these layers while they work inside."""
        wanted = sorted({layer for probe in self.probes for layer in probe.layers} - {0, self.depth})
        hooks = [layers[layer - 1].register_forward_hook(partial(self._take, layer)) for layer in wanted]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _take(self, layer: int, module: Any, inputs: Any, output: Any) -> None:
        self.see_states(layer, (output[0] if isinstance(output, tuple) else output)[0])


class Collector:
    """Collects what is needed of one sample, over its prefill and all later passes.

    `needs` are by the names under which methods look them up; `in_passes` are the names of those whose rows are wanted
    of the last token of the prompt and of every later pass. Needs are collected in the order of their names: where
    processes share a model, some ask all of them, in the same order. Raises ValueError for a need that the target does
    not have, and for rows of a kind that has none.
    """

    def __init__(
        self, needs: Mapping[str, str], reading: Reading, *, in_passes: Iterable[str] = (), seed: int = 0
    ) -> None:
        self._grid, self._depth, self._seed = reading.prompt.grid, reading.depth, seed
        self._probes = {name: _probe(need, reading) for name, need in sorted(needs.items())}
        self._in_passes = tuple(sorted(in_passes))
        for name in self._in_passes:
            if not self._probes[name].in_passes:
                raise ValueError(f"needs: {name} must be evidence that later passes have too, got {needs[name]!r}")
        self.suffix = any(probe.suffix for probe in self._probes.values())
        """Whether the text behind the video is to be read in pieces of its own."""
        probes = tuple(self._probes[name] for name in self._in_passes)
        attention = any(probe.attention for probe in probes)
        self.of_pass = Watch(probes=probes, depth=self._depth, attention=attention) if probes else None
        """Who watches a later pass."""

    def of_prompt(self, start: int, *, attention: bool = True) -> Watch | None:
        """Who watches a piece of the prompt that begins at token `start`."""
        probes = tuple(self._probes.values())
        attention = attention and any(probe.attention for probe in probes)
        return Watch(probes=probes, depth=self._depth, start=start, attention=attention) if probes else None

    def stage(self, names: Iterable[str]) -> int:
        """The number of layers behind which all of these are there."""
        return max((self._probes[name].stage for name in names), default=0)

    def evidence(self, names: Iterable[str] | None = None) -> Evidence:
        """What the prompt has shown, of all needs or of these."""
        chosen = self._probes if names is None else sorted(names)
        values = {name: self._probes[name].value() for name in chosen}
        return Evidence(grid=self._grid, seed=self._seed, values=values)

    def rows(self) -> dict[str, Tensor]:
        """What the last pass has shown: (M, ...) each."""
        return {name: self._probes[name].rows() for name in self._in_passes}


def _probe(need: str, reading: Reading) -> Probe:
    kind, argument = parsed(need)
    kind.check(argument, reading.depth)
    return kind(argument, reading)
