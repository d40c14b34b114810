"""Tiny random checkpoints of both families, made in code and saved as real ones, so that tests need no weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

SPECIAL = (
    "<|pad|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<image>",
    "<video>",
)
VOCAB = 272
CONTEXT = 512
PATCH = 4
SIDE = 16
TEXT = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": False,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "initializer_range": 0.4,
    "bos_token_id": None,
    "eos_token_id": None,
}
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'video' %}VIDEO"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer(*, swapped: bool = False) -> PreTrainedTokenizerFast:
    """One token per byte and the special tokens; `swapped` exchanges two ids, for a pair that does not fit."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    if swapped:
        letters[0], letters[1] = letters[1], letters[0]
    bpe = Tokenizer(BPE(vocab={letter: index for index, letter in enumerate(letters)}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<|pad|>", eos_token="<|im_end|>")
    fast.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    return fast


def save_qwen(folder: Path, *, seed: int = 0, vocab: int = VOCAB, noise: float = 0.0, swapped: bool = False) -> Path:
    """A random Qwen2.5-VL whose weights are those of `seed`, plus `noise` times as large deviations."""
    words_of = tokenizer(swapped=swapped)
    ids: Any = words_of.convert_tokens_to_ids
    size = {"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE}
    pixels: dict[str, Any] = {"patch_size": PATCH, "merge_size": 2, "temporal_patch_size": 2, "size": size}
    config = Qwen2_5_VLConfig(
        text_config={
            **TEXT,
            "vocab_size": vocab,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": PATCH,
            "window_size": 16,
            "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
            "initializer_range": 0.4,
        },
        video_token_id=ids("<|video_pad|>"),
        image_token_id=ids("<|image_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=False,
    )
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**pixels),
        video_processor=Qwen2VLVideoProcessor(**pixels),
        tokenizer=words_of,
        chat_template=TEMPLATE.replace("VIDEO", "<|vision_start|><|video_pad|><|vision_end|>"),
    )
    return _save(Qwen2_5_VLForConditionalGeneration, config, processor, folder, seed, noise)


def save_llava(folder: Path, *, seed: int = 0, vocab: int = VOCAB, noise: float = 0.0, swapped: bool = False) -> Path:
    """A random LLaVA-OneVision whose weights are those of `seed`, plus `noise` times as large deviations."""
    words_of = tokenizer(swapped=swapped)
    ids: Any = words_of.convert_tokens_to_ids
    size = {"height": SIDE, "width": SIDE}
    config = LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **TEXT, "vocab_size": vocab},
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": PATCH,
            "vision_use_head": False,
        },
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=[[SIDE, SIDE]],
        video_token_index=ids("<video>"),
        image_token_index=ids("<image>"),
        tie_word_embeddings=False,
    )
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[SIDE, SIDE]]),
        video_processor=LlavaOnevisionVideoProcessor(size=size),
        tokenizer=words_of,
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        image_token="<image>",
        video_token="<video>",
        chat_template=TEMPLATE.replace("VIDEO", "<video>\n"),
    )
    return _save(LlavaOnevisionForConditionalGeneration, config, processor, folder, seed, noise)


def _save(kind: Any, config: Any, processor: Any, folder: Path, seed: int, noise: float) -> Path:
    torch.manual_seed(seed)
    model = kind(config).double()
    if noise:
        torch.manual_seed(seed + 1)
        with torch.no_grad():
            for weight in model.parameters():
                weight += noise * weight.std(correction=0) * torch.randn_like(weight)
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
