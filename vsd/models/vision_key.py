"""Whether two models see a video alike, so that its features, or what their processors make of it, need to be computed
once for both."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from vsd.utils import distributed

TEXT = "language_model."  # what the text model's weights are called; all others make the vision features
_NO_MATTER = frozenset({"text_config", "_name_or_path", "architectures", "transformers_version", "tie_word_embeddings"})


def vision_key(model: Any, processor: Any, options: Any) -> str:
    """A hash of all that a video's features and their places in a prompt follow from: the weights and the config beside
    the text model's, the settings of the video processor, the chat template, and `options`, the adapter's own.

    Weights count with their names, types and every bit. Where processes share them, all take part.
    """
    video_processor = processor.video_processor
    settings = [
        options,
        {name: value for name, value in model.config.to_dict().items() if name not in _NO_MATTER},
        [type(video_processor).__qualname__, video_processor.to_dict()],
        processor.chat_template,
    ]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, weight in _weights(model.model):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(_bytes(weight))
    return digest.hexdigest()


def pixels_key(processor: Any, options: Any) -> str:
    """A hash of all that the processor's output follows from, of a video and a question: its settings, its tokenizer,
    the chat template, and `options`, the adapter's own. That of a tokenizer written in Python is like no other."""
    tokenizer = getattr(processor.tokenizer, "backend_tokenizer", None)
    settings = [
        options,
        type(processor).__qualname__,
        processor.to_dict(),
        processor.chat_template,
        os.urandom(16).hex() if tokenizer is None else _of_all_calls(tokenizer),
    ]
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def _of_all_calls(tokenizer: Any) -> Any:
    """What the tokenizer is, without what its last call has left in it."""
    return {**json.loads(tokenizer.to_str()), "padding": None, "truncation": None}


def _weights(model: Any) -> Iterator[tuple[str, Tensor]]:
    """The weights and buffers beside the text model's, by name."""
    # Not its state dict, which cannot be had of shared weights that were loaded without gradients.
    held = {**dict(model.named_buffers()), **dict(model.named_parameters(remove_duplicate=False))}
    yield from ((name, held[name]) for name in sorted(held) if not name.startswith(TEXT))


def _bytes(weight: Tensor) -> Any:
    """The values, bit by bit. Those of a quantiser's own tensors have no such form, and are like no others."""
    weight = distributed.whole(weight)
    if is_traceable_wrapper_subclass(weight):
        return os.urandom(16)
    return weight.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy()
