"""Windows that all ranks of a tensor-parallel run share: rank 0's."""

from __future__ import annotations

from dataclasses import replace
from typing import Generic, cast

import torch

from vsd.draft import Window
from vsd.executors.base import DraftClient, Pending, Request, T
from vsd.types import Draft
from vsd.utils import distributed


class BroadcastClient(DraftClient):
    """Asks another client, so that this rank's draft keeps up, and then takes rank 0's window in place of its own."""

    def __init__(self, inner: DraftClient) -> None:
        self._inner = inner

    def ready(self) -> None:
        self._inner.ready()

    def forget(self) -> None:
        self._inner.forget()

    def close(self) -> None:
        self._inner.close()

    def start(self, request: Request[T]) -> Pending[T]:
        return _OfRank0(self._inner.start(request))


class _OfRank0(Generic[T]):
    def __init__(self, own: Pending[T]) -> None:
        self._own = own

    def result(self) -> T:
        own = self._own.result()
        return cast(T, _shared(own)) if isinstance(own, Window) else own


def _shared(window: Window) -> Window:
    own = (window.draft.tokens, window.draft.parents)
    first = distributed.from_rank0(lambda: own)
    if first == own:
        return window
    # Their probabilities are not here, and nobody asks for them: rank 0 judges.
    tokens_N, parents_N = (torch.tensor(numbers, dtype=torch.long) for numbers in first)
    return replace(window, draft=Draft(tokens_N=tokens_N, parents_N=parents_N))
