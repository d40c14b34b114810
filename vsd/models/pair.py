"""Target and draft as a pair."""

from __future__ import annotations

from dataclasses import replace

from vsd.models.base import VideoLM
from vsd.models.checkpoint import Checkpoint, inspect

Model = VideoLM | Checkpoint


def one_vocabulary(target: Model, draft: Model) -> tuple[Model, Model]:
    """Both models with the smaller of their vocabularies; the entries beyond it are padding."""
    vocab = min(_vocab(target), _vocab(draft))
    return _narrowed(target, vocab), _narrowed(draft, vocab)


def _vocab(model: Model) -> int:
    return inspect(model.path, field=model.field).vocab if isinstance(model, Checkpoint) else model.vocab


def _narrowed(model: Model, vocab: int) -> Model:
    if isinstance(model, Checkpoint):
        return replace(model, vocab=vocab)
    return model if model.vocab == vocab else model.narrow(vocab)
