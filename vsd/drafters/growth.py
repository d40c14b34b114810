"""A tree that grows level by level in the draft model's cache, as the tree drafters share it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.tree import chain
from vsd.types import Context


class Growth:
    """Nodes of a tree that the draft model has read, and what it says behind each.

    The constructor reads what is left of the context; `logits_W` of the root (-1) follow its last token.
    """

    def __init__(self, context: Context, model: VideoLM, state: State) -> None:
        self._model, self._state = model, state
        ids_M = torch.tensor(context.tokens[state.generated :], device=model.device)
        self.root_W = model.forward(ids_M, chain(len(ids_M)), state).logits_MW[-1]
        state.commit(range(len(ids_M)))
        self._row = {-1: -1}

    def read(self, nodes: Sequence[int], tokens: Sequence[int], parents: Sequence[int]) -> Tensor:
        """logits_MW behind `nodes`, with these tokens and parents, all read in one pass; parents were read before."""
        ids_M = torch.tensor(tokens, device=self._model.device)
        rows = [self._row[parent] for parent in parents]
        first = len(self._state.pending)
        logits_MW = self._model.forward(ids_M, rows, self._state).logits_MW
        self._row.update({node: first + place for place, node in enumerate(nodes)})
        return logits_MW
