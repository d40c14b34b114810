"""The bundled models: transformers' real classes, only small.

A deep and thin target beside a shallow draft: on a CPU a step of a small model costs its layers, not its width, so this
is what gives the pair the step-time ratio of a large pair. Key/value heads are even in number, so that two devices can
share them out.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from transformers import PreTrainedModel, ProcessorMixin

from vsd.zoo.training.family import HEADS, Family, Size
from vsd.zoo.training.words import CONTEXT, build_tokenizer

SIZES = {
    "target": Size(layers=8, width=128, vision_layers=2, vision_width=96),
    "near": Size(layers=2, width=128, vision_layers=1, vision_width=64),
    "other": Size(layers=2, width=128, vision_layers=2, vision_width=96),
}
ROLES = tuple(SIZES)
DRAFTS = ("near", "other")
STORED = torch.bfloat16
"""How weights are stored."""
_ROWS = 64  # of which the word embeddings have a multiple


@cache
def processor_of(family: Family) -> ProcessorMixin:
    return family.processor(build_tokenizer(family.specials))


def build(family: Family, size: Size, *, seed: int = 0) -> Any:
    """A freshly initialised model, the same for the same seed."""
    tokenizer: Any = processor_of(family).tokenizer
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in family.specials}
    text = {
        "vocab_size": -(-len(tokenizer) // _ROWS) * _ROWS,
        "hidden_size": size.width,
        "intermediate_size": 3 * size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "rms_norm_eps": 1e-6,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = family.model(size, text, ids)
    return model


def stored_bytes(model: Any) -> int:
    """What the weights take in a checkpoint."""
    count: int = sum(weight.numel() for weight in model.parameters())
    return count * STORED.itemsize
