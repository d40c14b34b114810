"""A model of a real size without its checkpoint."""

from __future__ import annotations

import copy

import torch
from transformers import AutoConfig, AutoProcessor, Qwen2_5_VLForConditionalGeneration

from vsd.models import VideoLM, resolve
from vsd.models.qwen2_5_vl import Qwen25VL

TEXT_3B = {
    "hidden_size": 2048,
    "intermediate_size": 11008,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
}  # fmt: skip
BYTES = 10 * 2**30  # weights in bfloat16, logits and caches, with room


def random_3b(device: torch.device) -> VideoLM:
    """Qwen2.5-VL 3B's language model in bfloat16 with random weights, behind the bundled pair's vision tower and
    tokenizer."""
    source = resolve("zoo:qwen2_5_vl/target")
    config = copy.deepcopy(AutoConfig.from_pretrained(source))
    for name, value in TEXT_3B.items():
        setattr(config.text_config, name, value)
    config.text_config.layer_types = ["full_attention"] * TEXT_3B["num_hidden_layers"]
    config.text_config.head_dim = 128
    config.text_config.rope_parameters = {**config.text_config.rope_parameters, "mrope_section": [16, 24, 24]}
    config.vision_config.out_hidden_size = TEXT_3B["hidden_size"]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            model = Qwen2_5_VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    return Qwen25VL(model, AutoProcessor.from_pretrained(source), name="random 3B")
