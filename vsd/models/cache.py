"""The key/value cache: one buffer per layer, allocated once, behind transformers' Cache interface.

A step writes its rows behind the filled part and attends to a view, so nothing is concatenated. Buffers come in few
sizes (`bucket`), so that a GPU's allocator gives the next sample those of the last. The cache has one rule:
`State.commit` says which of the rows written since the last commit stand. A prefix of a chain costs a number; a path
through a tree moves the accepted rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

from vsd.models.attention import unmasked_chains
from vsd.models.mask import Mask
from vsd.models.split_attention import PIECE
from vsd.models.tree import chain, check, depths

_BUCKET = PIECE


def bucket(rows: int) -> int:
    """The rows that are allocated for so many: the next multiple of 256, or of a sixteenth of them where that is more
    (a power of two), so at most one row in sixteen is to spare in a long cache."""
    step = max(_BUCKET, 2 ** (rows.bit_length() - 5)) if rows else _BUCKET
    return -(-rows // step) * step


class _Filled:
    """How many rows all layers hold; shared, so that a commit does not visit the layers."""

    def __init__(self) -> None:
        self.rows = 0


class BufferLayer(CacheLayerMixin):
    """Keys and values of one layer, each of shape (1, heads, capacity, head size)."""

    is_sliding = False
    keys: Tensor
    values: Tensor

    def __init__(self, capacity: int, filled: _Filled) -> None:
        super().__init__()
        self.capacity = capacity
        self.filled = filled

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate on the first rows seen, which tell heads, head size, dtype and device."""
        # Zeros, since a pass of fixed shape reads all rows: what it masks must be numbers.
        self.keys = key_states.new_zeros(*key_states.shape[:2], self.capacity, key_states.shape[-1])
        self.values = value_states.new_zeros(*value_states.shape[:2], self.capacity, value_states.shape[-1])
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write rows behind the filled part; returns views of all rows up to and including them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, count = self.filled.rows, key_states.shape[2]
        self.keys.narrow(2, start, count).copy_(key_states)
        self.values.narrow(2, start, count).copy_(value_states)
        return self.keys.narrow(2, 0, start + count), self.values.narrow(2, 0, start + count)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.filled.rows + query_length, 0

    def get_seq_length(self) -> int:
        return self.filled.rows

    def get_max_length(self) -> int:
        return self.capacity

    @torch.inference_mode()
    def move(self, source: Tensor, start: int) -> None:
        """Copy the rows `source` to the places from `start` on."""
        for rows in (self.keys, self.values):
            rows.narrow(2, start, len(source)).copy_(rows.index_select(2, source))


class Buffers:
    """Keys and values of all layers, `rows` of them each, which one state after the other may fill. `passes` are those
    that were captured over these very buffers."""

    def __init__(self, rows: int, layers: int) -> None:
        self.rows = rows
        self.filled = _Filled()
        self.layers = [BufferLayer(rows, self.filled) for _ in range(layers)]
        self.cache = Cache(layers=list(self.layers))
        self.passes: dict[Any, Any] = {}

    @cached_property
    def keys(self) -> tuple[Tensor, ...]:
        """The key buffers, with rows that are not filled; there once a prompt has begun to be read."""
        return tuple(layer.keys for layer in self.layers)

    @cached_property
    def values(self) -> tuple[Tensor, ...]:
        """The value buffers."""
        return tuple(layer.values for layer in self.layers)


class Nodes(NamedTuple):
    """The nodes of one pass: those from `first` on of a `tree`, the parents of all since the last commit; and whether
    that is a chain."""

    tree: tuple[int, ...]
    first: int
    chain: bool


class State:
    """What a model remembers of one sample: the committed rows, and the nodes written since the last commit.

    `length` counts committed rows (prompt included), `generated` those behind the prompt. Nodes are numbered from the
    last commit on, over as many forward passes as were made since: a drafter may grow a tree level by level.
    `prompt_1W` are the logits behind the prompt, for whoever continues it before there is a first token.
    """

    def __init__(
        self,
        *,
        prompt: int,
        next_position: int,
        capacity: int,
        buffers: Buffers,
        axes: int,
        groups: int,
        like: Tensor,
    ) -> None:
        """`buffers`: where the rows go, at least `capacity` of them. `groups`: query heads per key/value head. `like`:
        a tensor of the model's dtype and device."""
        self.prompt, self.capacity, self.buffers, self.axes = prompt, capacity, buffers, axes
        self.length = 0
        self.pending: tuple[int, ...] = ()
        self.prompt_1W: Tensor | None = None
        self.cache, self._filled, self._layers = buffers.cache, buffers.filled, buffers.layers
        self._filled.rows = 0
        self._like = like.new_empty(0)  # the tensor itself may be large
        self._groups = groups
        self._mask = Mask(width=buffers.rows, groups=groups, like=self._like)
        self._unmasked = unmasked_chains(self._like)
        count = max(0, capacity - prompt)
        positions = torch.arange(next_position, next_position + count, device=like.device)
        self._positions_P1C = positions.expand(axes, 1, count)
        self.offset = torch.tensor(next_position - prompt, device=like.device)
        """How far the rotary positions behind the prompt are ahead of the rows."""

    @property
    def generated(self) -> int:
        """How many generated tokens are committed."""
        return self.length - self.prompt

    def commit(self, path: Sequence[int]) -> None:
        """Keep the nodes of `path`, in root-to-leaf order, and drop all other nodes since the last commit.

        Raises ValueError if `path` does not lead from the cache's end down the tree.
        """
        count = len(path)
        above = -1
        in_place = True
        for place, node in enumerate(path):
            if not 0 <= node < len(self.pending) or self.pending[node] != above:
                raise ValueError(f"path: node {node} does not follow node {above} in the tree {self.pending}")
            in_place = in_place and node == place
            above = node
        if not in_place:
            source = torch.tensor(path) + self.length
            sources = {device: source.to(device) for device in {layer.keys.device for layer in self._layers}}
            for layer in self._layers:
                layer.move(sources[layer.keys.device], self.length)
        self._settle(self.length + count)

    def rollback(self, length: int) -> None:
        """Forget committed rows behind `length`, and all nodes since the last commit."""
        if not self.prompt <= length <= self.length:
            raise ValueError(f"length: a state can go back to [{self.prompt}, {self.length}], got {length}")
        self._settle(length)

    def rows(self, layer: int) -> tuple[Tensor, Tensor]:
        """Views of the committed keys and values of one layer, each (1, heads, length, head size)."""
        buffer = self._layers[layer]
        return buffer.keys[:, :, : self.length], buffer.values[:, :, : self.length]

    def attach(self, parents: Sequence[int]) -> Nodes:
        """Make room for M nodes. Raises ValueError when the cache is full or a parent comes after its child."""
        first, new = len(self.pending), tuple(parents)
        if self.length + first + len(new) > self.capacity:
            raise ValueError(
                f"capacity: {self.length} cached rows and {first + len(new)} new ones do not fit {self.capacity}"
            )
        tree = self.pending + new
        is_chain = tree == chain(len(tree))
        if not is_chain:
            check(tree)
        self._filled.rows = self.length + first
        self.pending = tree
        return Nodes(tree, first, is_chain)

    def positions(self, nodes: Nodes) -> Tensor:
        """The rotary positions of attached nodes, (P, 1, M)."""
        count = len(nodes.tree) - nodes.first
        if nodes.chain:
            return self._positions_P1C.narrow(2, self.generated + nodes.first, count)
        offsets = torch.tensor(depths(nodes.tree)[nodes.first :], device=self._like.device)
        return self._positions_P1C[:, :, self.generated + offsets]

    def mask(self, nodes: Nodes) -> Tensor | None:
        """The attention mask of attached nodes; None: each sees all rows before it.

        It is additive, of shape (1, 1, groups * M, rows): already repeated for the query heads that share a key/value
        head, and valid until the next call. Chains have none where the attention function takes them without (see
        `vsd.models.attention`).
        """
        bare = nodes.chain and (len(nodes.tree) == nodes.first + 1 or self._unmasked)
        return None if bare else self._mask.of(nodes.tree, nodes.first, self.length + len(nodes.tree))

    def seen(self, layer: int, nodes: Nodes) -> Tensor:
        """Of a layer, counted from 0, the keys that attached nodes have seen between them: (1, heads, rows, head
        size)."""
        return self._layers[layer].keys[:, :, : self.length + len(nodes.tree)]

    def extend(self, count: int) -> Tensor | None:
        """Make room for `count` prompt rows and commit them; returns their mask as `mask` does, None for the first
        piece of a prompt."""
        self._filled.rows = self.length
        self.length += count
        if self.length == count or self._unmasked or count == 1:
            return None
        mask = Mask(width=self.length, groups=self._groups, like=self._like)  # larger than what decoding needs
        return mask.of(chain(count), 0, self.length)

    def resume(self, row: int) -> None:
        """Go on with a piece of the prompt that begins at this row, in layers that it has not gone through yet: its
        rows are there since `extend`."""
        self._filled.rows = row

    def _settle(self, length: int) -> None:
        self.length = self._filled.rows = length
        self.pending = ()
