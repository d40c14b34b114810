"""A model of a real size without its checkpoint."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from transformers import AutoConfig, AutoProcessor, Qwen2_5_VLForConditionalGeneration

from vsd.models import VideoLM, resolve
from vsd.models.qwen2_5_vl import Qwen25VL
from vsd.step_times.shapes import SHAPES, Shape

_CONTEXT = 131_072
_Adapter = TypeVar("_Adapter", bound=Qwen25VL)

BYTES = 10 * 2**30  # weights of a 3B model in bfloat16, logits and caches, with room


def random_3b(device: torch.device) -> VideoLM:
    """Qwen2.5-VL 3B's language model in bfloat16 with random weights, behind the bundled pair's vision tower and
    tokenizer."""
    return random_model(Qwen25VL, SHAPES["qwen2_5_vl_3b"], device, name="random 3B")


def random_model(
    adapter: type[_Adapter], shape: Shape, device: torch.device, *, name: str, dtype: torch.dtype = torch.bfloat16
) -> _Adapter:
    """A language model of this shape, built as Qwen2.5-VL's is, with random weights, behind the bundled pair's vision
    tower and tokenizer."""
    source = resolve("zoo:qwen2_5_vl/target")
    config = copy.deepcopy(AutoConfig.from_pretrained(source))
    half = shape.head // 2  # what turns: a quarter of it with time, the rest in halves with height and width
    text = {
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "vocab_size": shape.vocab,
        "head_dim": shape.head,
        "layer_types": ["full_attention"] * shape.layers,
        "max_position_embeddings": _CONTEXT,
        "rope_parameters": {
            **config.text_config.rope_parameters,
            "mrope_section": [half - 2 * (3 * half // 8), 3 * half // 8, 3 * half // 8],
        },
    }
    for field, value in text.items():
        setattr(config.text_config, field, value)
    config.vision_config.out_hidden_size = shape.width
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            model = Qwen2_5_VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    return adapter(model, AutoProcessor.from_pretrained(source), name=name)
