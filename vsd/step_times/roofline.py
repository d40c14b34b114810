"""Step times from the shape of two models and what a device can do: the more of moving bytes and computing counts.

A pass over M tokens behind L cache rows reads every weight and the cached keys and values once, and takes two
operations a weight and token and four a head, channel and pair of tokens for attention. Not modelled: activations,
which stay in caches at these sizes, and what a framework does between kernels, for which `layer_s` stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from vsd.step_times.devices import Device
from vsd.step_times.shapes import Shape
from vsd.step_times.times import Times
from vsd.utils.validation import is_number, require, require_number, require_one_of, require_whole

Split = Literal["tensor", "pipeline"]
RING_S = 6.6e-6  # what an all-reduce costs beside its steps, by NCCL's own cost model
SEND_S = 10e-6  # what handing a token's states on in a pipeline takes at least: a launch at either end


EFFICIENCIES = {"eager": 0.27, "engine": 0.7}
"""Shares of the data sheet's bandwidth that decoding reaches: plain PyTorch in bfloat16 (0.27, a 7B model on an H100),
and serving engines (0.69 to 0.77: gpt-fast and vLLM on an A100, SGLang on an H100, 7B and 8B models)."""
USUAL_EFFICIENCY = 0.6


def efficiency_of(given: float | str, *, field: str = "efficiency") -> float:
    """The efficiency of that name, or the number itself. Raises ValueError for anything else."""
    if isinstance(given, str) and given in EFFICIENCIES:
        return EFFICIENCIES[given]
    rule = f"a number in (0, 1], {' or '.join(EFFICIENCIES)}"
    require(field, rule, given, is_number(given) and 0 < given <= 1)
    return float(given)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """`count` devices that one model is split over.

    "tensor": each holds a slice of every layer, and their results are added up twice a layer; "pipeline": each holds
    some of the layers, and one token passes through them in turn. `efficiency` is the share of the data sheet's numbers
    that is reached, and `layer_s` what every layer costs besides (launches, framework).
    """

    device: Device
    count: int = 1
    split: Split = "tensor"
    efficiency: float = 1.0
    layer_s: float = 0.0
    bytes: int = 2

    def __post_init__(self) -> None:
        require_whole("devices", self.count, least=1)
        require_one_of("split", self.split, get_args(Split))
        holds = is_number(self.efficiency) and 0 < self.efficiency <= 1
        require("efficiency", "a number in (0, 1]", self.efficiency, holds)
        require_number("layer_s", self.layer_s, least=0)
        require_whole("bytes", self.bytes, least=1)

    def pass_s(self, shape: Shape, tokens: int, context: int, *, rows: int | None = None) -> float:
        """A pass over so many tokens behind a context; the output layer for the last `rows` of them (None: all)."""
        rows = tokens if rows is None else rows
        moved = self.bytes * (shape.body + shape.lm_head + shape.kv * (context + tokens))
        pairs = tokens * context + tokens * (tokens + 1) / 2
        computed = 2 * (shape.body * tokens + shape.lm_head * rows) + 4 * shape.layers * shape.width * pairs
        work = self._work_s(moved, computed)
        return work + self._link_s(shape, tokens) + shape.layers * self.layer_s

    def vision_s(self, shape: Shape, visual: int) -> float:
        """The vision tower: its weights times the patches it reads, without attention; on one device."""
        moved, computed = self.bytes * shape.tower.weights, 2 * shape.tower.weights * shape.tower.patches * visual
        return max(moved / self.device.bandwidth, computed / self.device.peak) / self.efficiency if visual else 0.0

    def memory(self, shape: Shape, context: int) -> float:
        """Bytes of weights and cache on each device."""
        weights = shape.body + 2 * shape.lm_head + shape.tower.weights
        return self.bytes * (weights + shape.kv * context) / self.count

    def _work_s(self, moved: float, computed: float) -> float:
        shared = self.count if self.split == "tensor" else 1
        return max(moved / self.device.bandwidth, computed / self.device.peak) / shared / self.efficiency

    def _link_s(self, shape: Shape, tokens: int) -> float:
        """Two ring all-reduces a layer, or the hops of a pipeline."""
        others, size = self.count - 1, self.bytes * tokens * shape.width
        if self.split == "pipeline":
            return others * (size / self.device.link + SEND_S)
        if not others:
            return 0.0
        reduce_s = RING_S + 2 * others * (size / self.count / self.device.link + self.device.hop_s)
        return 2 * shape.layers * reduce_s


@dataclass(frozen=True, kw_only=True)
class Roofline(Times):
    """A target and a draft, each on devices of its own."""

    target: Shape
    draft: Shape
    target_on: Machine
    draft_on: Machine
    latency_s: float = 100e-6

    def crowded(self, context: int) -> Iterator[str]:
        """What does not fit, with prompts and generations of so many tokens."""
        for role, machine, shape in (
            ("target", self.target_on, self.target),
            ("draft", self.draft_on, self.draft),
        ):
            wanted, room = machine.memory(shape, context), machine.device.memory
            if wanted > room:
                yield f"{role}: {wanted / 1e9:.0f} GB of weights and cache on a device of {room / 1e9:.0f} GB"

    @property
    def devices(self) -> tuple[int, int]:
        return self.target_on.count, self.draft_on.count

    def device_names(self, *, apart: bool) -> tuple[frozenset[str], frozenset[str]]:
        return super().device_names(apart=apart or self.target_on.device != self.draft_on.device)

    def verify_s(self, nodes: int, context: int) -> float:
        return self.target_on.pass_s(self.target, nodes, context)

    def draft_s(self, nodes: int, context: int) -> float:
        return self.draft_on.pass_s(self.draft, nodes, context)

    def encode_s(self, visual: int) -> float:
        return self.target_on.vision_s(self.target, visual)

    def draft_encode_s(self, visual: int) -> float:
        return self.draft_on.vision_s(self.draft, visual)

    def prefill_s(self, tokens: int) -> float:
        return self.target_on.pass_s(self.target, tokens, 0, rows=1)

    def draft_prefill_s(self, tokens: int) -> float:
        return self.draft_on.pass_s(self.draft, tokens, 0, rows=1)
