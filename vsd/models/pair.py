"""Target and draft as a pair."""

from __future__ import annotations

from dataclasses import replace

from vsd.models.base import VideoLM
from vsd.models.checkpoint import Checkpoint, inspect


def one_vocabulary(target: VideoLM, draft: VideoLM | Checkpoint) -> tuple[VideoLM, VideoLM | Checkpoint]:
    """Both models with the smaller of their vocabularies; the entries beyond it are padding."""
    if isinstance(draft, Checkpoint):
        vocab = min(target.vocab, inspect(draft.path, field=draft.field).vocab)
        return target.narrow(vocab), replace(draft, vocab=vocab)
    if target.vocab == draft.vocab:
        return target, draft
    vocab = min(target.vocab, draft.vocab)
    return target.narrow(vocab), draft.narrow(vocab)
