"""All probes of one sample: what they are shown, and what they have found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from vsd.evidence.base import Attended, Probe, Reading, parsed
from vsd.types import Evidence


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Shows probes what a model reads of a piece of the prompt that begins at token `start`: the
    states behind `layers`, and with `attention` what they look at of it."""

    probes: tuple[Probe, ...]
    start: int
    attention: bool = True

    @property
    def layers(self) -> frozenset[int]:
        """Those whose states are looked at; the embeddings stand in the prompt."""
        return frozenset[int]().union(*(probe.layers for probe in self.probes)) - {0}

    def see_states(self, layer: int, states_MD: Tensor) -> None:
        """The states behind a layer."""
        for probe in self.probes:
            if layer in probe.layers:
                probe.prompt_states(layer, states_MD, self.start)

    def see_attention(self, layer: int, attended: Attended) -> None:
        """The attention of a layer, counted from 1."""
        for probe in self.probes:
            if layer in probe.attention:
                probe.prompt_attention(layer, attended)


class Wanted(NamedTuple):
    """What is looked at of a later pass: the states behind some layers (0: the embeddings), and the queries of some,
    counted from 1."""

    states: frozenset[int]
    queries: frozenset[int]

    def __bool__(self) -> bool:
        return bool(self.states or self.queries)


NOTHING = Wanted(frozenset(), frozenset())


class Taken:
    """What was wanted of a later pass, taken while it ran. It is shown to the probes when the pass is over: compiled
    code runs none of theirs."""

    def __init__(self, wanted: Wanted) -> None:
        self.layers, self.attention = wanted.states, bool(wanted.queries)
        self.states: dict[int, Tensor] = {}
        self.queries: dict[int, Tensor] = {}
        self._queries = wanted.queries

    def see_states(self, layer: int, states_MD: Tensor) -> None:
        """The states behind a layer."""
        self.states[layer] = states_MD

    def see_attention(self, layer: int, attended: Attended) -> None:
        """The attention of a layer, counted from 1."""
        if layer in self._queries:
            self.queries[layer] = attended.query


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
        self._grid, self._seed = reading.prompt.grid, seed
        self._probes = {name: _probe(need, reading) for name, need in sorted(needs.items())}
        self._in_passes = tuple(sorted(in_passes))
        for name in self._in_passes:
            if not self._probes[name].in_passes:
                raise ValueError(f"needs: {name} must be evidence that later passes have too, got {needs[name]!r}")
        self.suffix = any(probe.suffix for probe in self._probes.values())
        """Whether the text behind the video is to be read in pieces of its own."""
        probes = [self._probes[name] for name in self._in_passes]
        self.of_pass = Wanted(
            states=frozenset[int]().union(*(probe.layers for probe in probes)),
            queries=frozenset[int]().union(*(probe.attention for probe in probes)),
        )
        """What is looked at of a later pass."""

    def of_prompt(self, start: int, *, attention: bool = True) -> Watch | None:
        """Who watches a piece of the prompt that begins at token `start`."""
        probes = tuple(self._probes.values())
        attention = attention and any(probe.attention for probe in probes)
        return Watch(probes=probes, start=start, attention=attention) if probes else None

    def stage(self, names: Iterable[str]) -> int:
        """The number of layers behind which all of these are there."""
        return max((self._probes[name].stage for name in names), default=0)

    def evidence(self, names: Iterable[str] | None = None) -> Evidence:
        """What the prompt has shown, of all needs or of these."""
        chosen = self._probes if names is None else sorted(names)
        values = {name: self._probes[name].value() for name in chosen}
        return Evidence(grid=self._grid, seed=self._seed, values=values)

    def pass_rows(self, states: Mapping[int, Tensor], attended: Mapping[int, Attended]) -> dict[str, Tensor]:
        """What a pass shows: states (M, D) and attention by layer, as much as was wanted; (M, ...) each."""
        for probe in (self._probes[name] for name in self._in_passes):
            for layer in sorted(probe.layers & states.keys()):
                probe.pass_states(layer, states[layer])
            for layer in sorted(probe.attention & attended.keys()):
                probe.pass_attention(layer, attended[layer])
        return self.rows()

    def rows(self) -> dict[str, Tensor]:
        """What the last pass has shown: (M, ...) each."""
        return {name: self._probes[name].rows() for name in self._in_passes}


def _probe(need: str, reading: Reading) -> Probe:
    kind, argument = parsed(need)
    kind.check(argument, reading.depth)
    return kind(argument, reading)
