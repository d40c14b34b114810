"""Trees of draft tokens as parent indices: `parents[i]` is the node that node i follows, -1 for the cache's end.

Parents come before their children, so that one pass over the indices is enough for everything here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from vsd.types import Draft


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


NO_DRAFT = Draft(tokens_N=torch.empty(0, dtype=torch.long), parents_N=torch.empty(0, dtype=torch.long))


def part(draft: Draft, start: int, stop: int | None) -> Draft:
    """A stretch of a chain, as a chain."""
    places = range(len(draft.tokens_N))[start:stop]
    return of_nodes(draft, slice(start, stop), chain(len(places)))


def of_nodes(draft: Draft, nodes: Sequence[int] | slice, parents: Sequence[int]) -> Draft:
    """Some nodes of a draft, with these parents, as a draft."""
    probs_NW, confidence_N = (None if rows is None else rows[nodes] for rows in (draft.probs_NW, draft.confidence_N))
    parents_N = torch.tensor(parents, dtype=torch.long)
    return Draft(tokens_N=draft.tokens_N[nodes], parents_N=parents_N, probs_NW=probs_NW, confidence_N=confidence_N)


def joined(first: Draft, second: Draft) -> Draft:
    """Two chains, the second behind the first."""
    if not len(first.tokens_N) or not len(second.tokens_N):
        return second if len(second.tokens_N) else first
    both = [(first.probs_NW, second.probs_NW), (first.confidence_N, second.confidence_N)]
    probs_NW, confidence_N = (None if one is None or other is None else torch.cat((one, other)) for one, other in both)
    tokens_N = torch.cat((first.tokens_N, second.tokens_N))
    parents_N = torch.tensor(chain(len(tokens_N)), dtype=torch.long)
    return Draft(tokens_N=tokens_N, parents_N=parents_N, probs_NW=probs_NW, confidence_N=confidence_N)
