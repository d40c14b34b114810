"""Trees of draft tokens as parent indices: `parents[i]` is the node that node i follows, -1 for the cache's end.

Parents come before their children, so that one pass over the indices is enough for everything here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=128)
def chain(nodes: int) -> tuple[int, ...]:
    """The parents of a chain: the tree in which node i hangs on node i - 1."""
    return tuple(range(-1, nodes - 1))


def depths(parents: Sequence[int]) -> list[int]:
    """How far each node stands from the cache's end; 0 for a node that follows it directly."""
    levels: list[int] = []
    for parent in parents:
        levels.append(0 if parent < 0 else levels[parent] + 1)
    return levels


def ancestors(parents: Sequence[int]) -> Tensor:
    """Which nodes (columns) each node (row) follows, itself included: bool, shape (nodes, nodes)."""
    seen = torch.eye(len(parents), dtype=torch.bool)
    for node, parent in enumerate(parents):
        if parent >= 0:
            seen[node] |= seen[parent]
    return seen


def children(parents: Sequence[int]) -> dict[int, list[int]]:
    """The nodes that follow each node, in order; those of the root under -1."""
    below: dict[int, list[int]] = {node: [] for node in range(-1, len(parents))}
    for node, parent in enumerate(parents):
        below[parent].append(node)
    return below


def leaves(parents: Sequence[int]) -> list[list[int]]:
    """Every path from the root to a leaf, as node indices; leaves in order."""
    inner = set(parents)
    paths: list[list[int]] = []
    for leaf in range(len(parents)):
        if leaf in inner:
            continue
        path, node = list[int](), leaf
        while node >= 0:
            path.append(node)
            node = parents[node]
        paths.append(path[::-1])
    return paths


def check(parents: Sequence[int]) -> None:
    """Raise ValueError unless every parent comes before its child."""
    for node, parent in enumerate(parents):
        if not -1 <= parent < node:
            raise ValueError(f"parents: the parent of node {node} must lie in [-1, {node}), got {parent}")
