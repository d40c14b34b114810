"""Stretches of a chain of drafted tokens."""

from __future__ import annotations

import torch

from vsd.models.tree import chain
from vsd.types import Draft

NO_DRAFT = Draft(tokens_N=torch.empty(0, dtype=torch.long), parents_N=torch.empty(0, dtype=torch.long))


def part(draft: Draft, start: int, stop: int | None) -> Draft:
    """A stretch of a chain, as a chain."""
    tokens_N = draft.tokens_N[start:stop]
    probs_NW = None if draft.probs_NW is None else draft.probs_NW[start:stop]
    return Draft(tokens_N=tokens_N, parents_N=torch.tensor(chain(len(tokens_N)), dtype=torch.long), probs_NW=probs_NW)


def joined(first: Draft, second: Draft) -> Draft:
    """Two chains, the second behind the first."""
    if not len(first.tokens_N) or not len(second.tokens_N):
        return second if len(second.tokens_N) else first
    probs = [each.probs_NW for each in (first, second) if each.probs_NW is not None]
    return Draft(
        tokens_N=torch.cat((first.tokens_N, second.tokens_N)),
        parents_N=torch.tensor(chain(len(first.tokens_N) + len(second.tokens_N))),
        probs_NW=torch.cat(probs) if probs else None,
    )
