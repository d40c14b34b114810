"""Decoding passes of fixed shape, so that they can be compiled: `compile` says by what.

A pass of the same number of nodes over a cache of the same size is the same computation every time, if all that differs
is in tensors: the tokens, where their rows begin, their rotary positions, and of a tree who follows whom. It attends to
the whole buffer, and what is not there is masked. So it is compiled once for each form and used for all samples.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from vsd.evidence.collector import Taken, Wanted
from vsd.models.cache import Buffers
from vsd.models.mask import hidden
from vsd.models.tree import ancestors, depths

if TYPE_CHECKING:
    from vsd.models.base import VideoLM
    from vsd.models.cache import Nodes, State

log = logging.getLogger(__name__)

Compile = Literal["none", "eager", "inductor", "cudagraph"]
"""How decoding passes are computed: `none` over as many rows as there are, by transformers' layers as they stand;
`eager` in fixed shapes, by the same; `inductor` in fixed shapes, compiled by `torch.compile`; `cudagraph` in fixed
shapes, the kernels of `eager` captured and launched all at once."""
COMPILES: tuple[Compile, ...] = get_args(Compile)

_WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 26, 32, 40, 48, 64)
_WIDEST = _WIDTHS[-1]
SPARE_ROWS = _WIDEST
"""Rows that a buffer has behind its capacity, for the nodes that only fill up a pass."""

_KEPT = 256  # trees whose tensors are kept
_WARM_UPS = 3
_KEPT_BUFFERS = 4  # of clips of a few lengths, each alone and with drafts, or of a model that drafts for itself

_MAKING = threading.Lock()
"""Passes are compiled and captured one at a time: another thread may have the other model."""

_Step = Callable[..., tuple[Tensor, dict[int, Tensor], dict[int, Tensor]]]


def width_of(nodes: int) -> int:
    """How many nodes a pass over so many has in all: few numbers, so that few passes are compiled."""
    return next((width for width in _WIDTHS if width >= nodes), -(-nodes // _WIDEST) * _WIDEST)


class _Form(NamedTuple):
    """What tells passes apart that are compiled by themselves: nodes of the pass, all nodes of its tree (0: a chain),
    rows of the buffer, axes of the positions, and what is taken on the way."""

    width: int
    tree: int
    rows: int
    axes: int
    wanted: Wanted


class Steps:
    """A model's passes of fixed shape. `compiled` counts those that were compiled or captured."""

    def __init__(self, model: VideoLM, compile: Compile) -> None:
        self.compiled = 0
        self._model, self._compile = model, compile
        self._steps: dict[_Form, _Step] = {}
        self._bound: dict[Any, tuple[_Form, tuple[Tensor, Tensor, Tensor | None]]] = {}
        self._free: list[Buffers] = []

    def run(self, ids_M: Tensor, nodes: Nodes, state: State, wanted: Wanted) -> tuple[Tensor, Taken]:
        """The logits_MW of these nodes, which are attached to the state, and what was wanted of the pass."""
        count, buffers = len(nodes.tree) - nodes.first, state.buffers
        form, tree = self._bind(nodes, state, wanted, ids_M.device)
        if form.width > count:
            ids_M = torch.cat((ids_M, ids_M.new_zeros(form.width - count)))
        length = torch.full((), state.length, device=ids_M.device)  # a number in a launch: nothing waits for a copy
        inputs = (ids_M, length, state.offset, *tree, buffers.keys, buffers.values)
        steps = buffers.passes if self._compile == "cudagraph" else self._steps
        step = steps.get(form)
        if step is None:
            with _MAKING:
                step = steps[form] = self._make(form, inputs)
        logits_MW, states, queries = step(*inputs)
        taken = Taken(wanted)
        if wanted:
            taken.states = {layer: states_MD[:count] for layer, states_MD in states.items()}
            taken.queries = {layer: query[:, :, :count] for layer, query in queries.items()}
        return logits_MW if form.width == count else logits_MW[:count], taken

    @torch.inference_mode()
    def buffers(self, rows: int, layers: int) -> Buffers:
        """Buffers of this many rows. A captured pass belongs to its buffers, so those that a sample has left behind are
        taken again."""
        fitting = [buffers for buffers in self._free if buffers.rows == rows]
        if not fitting:
            return Buffers(rows, layers)
        self._free.remove(fitting[-1])
        for buffer in (*fitting[-1].keys, *fitting[-1].values):
            buffer.zero_()  # a sample may have left what is no number, and what is masked is read
        return fitting[-1]

    def take_back(self, buffers: Buffers, state: State) -> None:
        """Keep the buffers for another sample when this state is gone, if that is of use."""
        if self._compile == "cudagraph":
            weakref.finalize(state, self._keep, buffers).atexit = False

    def _keep(self, buffers: Buffers) -> None:
        self._free = [*self._free, buffers][-_KEPT_BUFFERS:]

    def _bind(
        self, nodes: Nodes, state: State, wanted: Wanted, device: torch.device
    ) -> tuple[_Form, tuple[Tensor, Tensor, Tensor | None]]:
        """The form of a pass over these nodes, and what a pass has to know of its tree."""
        key = (nodes.tree, nodes.first, state.buffers.rows, state.axes, wanted)
        bound = self._bound.get(key)
        if bound is None:
            if len(self._bound) >= _KEPT:
                self._bound.clear()
            width = width_of(len(nodes.tree) - nodes.first)
            columns = 0 if nodes.chain else width_of(len(nodes.tree))
            form = _Form(width, columns, state.buffers.rows, state.axes, wanted)
            bound = self._bound[key] = form, _tree(nodes.tree, nodes.first, width, columns, device)
        return bound

    def _make(self, form: _Form, inputs: Sequence[Any]) -> _Step:
        """The pass of this form, compiled or captured if it is to be, and warmed up: it may write to the rows that the
        next one writes anyway."""
        step = _step_of(self._model, form)
        if self._compile == "inductor":
            start, name = time.perf_counter(), self._model.name
            step = by_inductor(step, inputs[0].device)
            for _ in range(2):
                step(*inputs)
            self.compiled += 1
            seconds = time.perf_counter() - start
            log.info("%s: compiled a pass of %d nodes over %d rows in %.0f s", name, form.width, form.rows, seconds)
        if self._compile == "cudagraph":
            step = CapturedPass(step, inputs)
            self.compiled += 1
        return step


def by_inductor(step: _Step, device: torch.device) -> _Step:
    """The pass, compiled when it is first called. Calls of one operator after the other are C++ too on a CPU, where
    they are a quarter of a small model's time."""
    options: dict[str, Any] = {
        "guard_filter_fn": torch.compiler.skip_all_guards_unsafe,
        "cpp_wrapper": device.type == "cpu",
    }
    return torch.compile(step, fullgraph=True, dynamic=False, options=options)


class CapturedPass:
    """A pass as a CUDA graph over these very buffers: its kernels are launched all at once. What it is given is copied
    to where the graph reads it, and what it gives is copied from where the next launch writes."""

    def __init__(self, step: _Step, inputs: Sequence[Any]) -> None:
        *given, keys, values = inputs
        self._static = [None if tensor is None else tensor.clone() for tensor in given]
        self._given = [*given]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(inputs[0].device):  # streams are of the current device
            here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
            aside.wait_stream(here)
            with torch.cuda.stream(aside):  # what is done once must not be captured
                for _ in range(_WARM_UPS):
                    step(*self._static, keys, values)
            here.wait_stream(aside)
            # The draft's thread may be at work; the library's own stream for captures is one for all devices.
            with torch.cuda.graph(self._graph, stream=aside, capture_error_mode="thread_local"):
                self._outputs = step(*self._static, keys, values)
            self._graph.replay()

    def __call__(self, *inputs: Any) -> tuple[Tensor, dict[int, Tensor], dict[int, Tensor]]:
        for place, (static, given) in enumerate(zip(self._static, inputs, strict=False)):
            if static is not None and given is not self._given[place]:  # a tree's tensors are mostly the last ones
                static.copy_(given)
                self._given[place] = given
        self._graph.replay()
        logits_MW, states, queries = self._outputs
        copies = ({layer: rows.clone() for layer, rows in taken.items()} for taken in (states, queries))
        return logits_MW.clone(), *copies  # type: ignore[return-value]


def _step_of(model: VideoLM, form: _Form) -> _Step:
    """The pass as a function of tensors alone. No guard is needed: each form has a function of its own, with a code
    object of its own, which is what compiled code belongs to."""

    def step(
        ids_M: Tensor,
        length: Tensor,
        offset: Tensor,
        places_M: Tensor,
        depths_M: Tensor,
        visible_MN: Tensor | None,
        keys: Sequence[Tensor],
        values: Sequence[Tensor],
    ) -> tuple[Tensor, dict[int, Tensor], dict[int, Tensor]]:
        rows_M, taken = length + places_M, Taken(form.wanted)
        positions_P1M = (length + offset + depths_M).expand(form.axes, 1, form.width)
        embeds_MD = model.embed(ids_M)
        hidden_MC = ~_visible(rows_M, length, visible_MN, form.rows)
        mask_MC = embeds_MD.new_zeros(hidden_MC.shape).masked_fill(hidden_MC, hidden(embeds_MD.dtype))
        mask = mask_MC.repeat(model.groups, 1)[None, None]
        states_MD = model.run(embeds_MD, positions_P1M, mask, _Rows(rows_M, keys, values), watch=taken)
        return model.logits(states_MD), taken.states, taken.queries

    return FunctionType(step.__code__.replace(), step.__globals__, step.__name__, None, step.__closure__)


def _visible(rows_M: Tensor, length: Tensor, visible_MN: Tensor | None, rows: int) -> Tensor:
    """Which rows of the buffer each node sees, (M, rows): of a chain all up to its own, of a tree the committed ones
    and those of the nodes that it follows."""
    rows_C = torch.arange(rows, device=rows_M.device)
    if visible_MN is None:
        return rows_C <= rows_M[:, None]
    nodes_C, last = rows_C - length, visible_MN.shape[1] - 1
    in_tree_MC = visible_MN[:, nodes_C.clamp(0, last)] & (nodes_C <= last)
    return (nodes_C < 0) | in_tree_MC


class _Rows:
    """The cache of one pass, as transformers' layers write to it: rows at places that a tensor says."""

    def __init__(self, rows_M: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        self.rows_M, self.keys, self.values = rows_M, keys, values

    def update(self, key: Tensor, value: Tensor, layer: int, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write rows; returns all rows of the buffers, those behind them too."""
        self.keys[layer].index_copy_(2, self.rows_M, key)
        self.values[layer].index_copy_(2, self.rows_M, value)
        return self.keys[layer], self.values[layer]


def _tree(
    tree: tuple[int, ...], first: int, width: int, columns: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Of the nodes from `first` on, filled up to `width`: their places behind the committed rows, their depths, and, of
    a tree, which of its nodes each can see, (width, columns)."""
    places_M = torch.arange(first, first + width)
    if not columns:
        return places_M.to(device), places_M.to(device), None
    fill = [0] * (width - (len(tree) - first))
    depths_M = torch.tensor([*depths(tree)[first:], *fill])
    visible_MN = torch.zeros(width, columns, dtype=torch.bool)
    visible_MN[: len(tree) - first, : len(tree)] = ancestors(tree)[first:]
    return places_M.to(device), depths_M.to(device), visible_MN.to(device)
