"""What the patches of a video receive of a vision tower's attention, taken on its way through one block.

Towers look their attention up by name as language models do. The functions registered for them show here what they work
on; nothing is computed unless somebody listens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

NAME = "vsd_tower"

_listening: ContextVar[tuple[nn.Module, list[Tensor]] | None] = ContextVar("listening", default=None)


@contextmanager
def received_in(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collects what is received in this block's attention inside: see `show`."""
    received = list[Tensor]()
    token = _listening.set((module, received))
    try:
        yield received
    finally:
        _listening.reset(token)


def show(module: nn.Module, query: Tensor, key: Tensor, scaling: float) -> None:
    """Of segments of n patches, (count, H, n, d) each, the mean weight on each patch over heads and queries: (count *
    n,), in at least float32. One segment's rows are formed at a time."""
    listening = _listening.get()
    if listening is None or listening[0] is not module:
        return
    for one, other in zip(query, key, strict=True):
        scores = (one @ other.transpose(1, 2)) * scaling
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        listening[1].append(scores.softmax(-1).mean((0, 1)))


def attention_forward(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    """The library's own, which is shown to who listens."""
    show(module, query, key, kwargs["scaling"])
    mixed, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    return mixed, None


AttentionInterface.register(NAME, attention_forward)
