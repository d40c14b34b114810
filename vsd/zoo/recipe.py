"""The shapes of the four bundled models, and their tokenizer and processors: transformers' real classes, only small.

A deep and thin target beside a shallow draft: on a CPU a step of a small model costs its layers, not its width, so this
is what gives the pair the step-time ratio of a 32B/7B pair. Key/value heads are even in number, so that two devices
can share them out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from vsd.zoo import shapes, texts

CONTEXT = 4096
HEADS = 4
SPECIALS = {
    "qwen2_5_vl": ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
    "llava_onevision": ("<image>", "<video>"),
}
FAMILIES = tuple(SPECIALS)
ROLES = ("target", "draft")

_TURN = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}VIDEO{% elif part['type'] == 'image' %}IMAGE"
    "{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEMPLATES = {
    "qwen2_5_vl": _TURN.replace("VIDEO", "<|vision_start|><|video_pad|><|vision_end|>").replace(
        "IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"
    ),
    "llava_onevision": _TURN.replace("VIDEO", "<video>\n").replace("IMAGE", "<image>\n"),
}


@dataclass(frozen=True)
class Size:
    """Depth and width of a model's text and vision parts."""

    layers: int
    width: int
    vision_layers: int
    vision_width: int


SIZES = {
    "target": Size(layers=10, width=128, vision_layers=2, vision_width=64),
    "draft": Size(layers=2, width=96, vision_layers=1, vision_width=64),
}
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]


def corpus(samples: int = 3000) -> list[str]:
    """Texts that show the tokenizer every word of the descriptions, questions and chat turns."""
    rng = np.random.default_rng(7)
    lines = [texts.DESCRIBE] * 50 + ["system\nuser\nassistant\n"] * 50
    for seed in range(samples):
        scene = shapes.scene(seed)
        question = texts.ask(scene, rng)
        lines += [texts.describe(scene, rng), question.text, question.answer]
    return lines


def build_tokenizer(family: str) -> Qwen2Tokenizer:
    """A byte-level BPE of about 700 words in the family's own tokenizer class, with the family's special tokens."""
    trained = Tokenizer(models.BPE())
    blank = Qwen2Tokenizer(vocab={"<|endoftext|>": 0}, merges=[])
    trained.pre_tokenizer = blank.backend_tokenizer.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trained.train_from_iterator(
        corpus(), trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    )
    state = json.loads(trained.to_str())["model"]
    vocab = {token: index + 3 for token, index in state["vocab"].items()}
    vocab |= {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
    return Qwen2Tokenizer(
        vocab=vocab,
        merges=[tuple(pair) for pair in state["merges"]],  # type: ignore[misc]
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>", *SPECIALS[family]],
        model_max_length=CONTEXT,
    )


def build_processor(family: str) -> ProcessorMixin:
    """The family's processor; clips of 112 x 112 pass at their own size, others are scaled to about as many pixels."""
    tokenizer = build_tokenizer(family)
    normalise: dict[str, Any] = {"image_mean": MEAN, "image_std": STD}
    if family == "qwen2_5_vl":
        size = {"shortest_edge": shapes.SIDE**2, "longest_edge": shapes.SIDE**2}
        return Qwen2_5_VLProcessor(
            image_processor=Qwen2VLImageProcessor(size=size, **normalise),
            tokenizer=tokenizer,
            video_processor=Qwen2VLVideoProcessor(size=size, cap_pixels_per_frame=True, **normalise),
            chat_template=TEMPLATES[family],
        )
    size = {"height": shapes.SIDE, "width": shapes.SIDE}
    return LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(
            size=size, image_grid_pinpoints=[[shapes.SIDE, shapes.SIDE]], **normalise
        ),
        tokenizer=tokenizer,
        video_processor=LlavaOnevisionVideoProcessor(size=size, **normalise),
        num_image_tokens=(shapes.SIDE // 14) ** 2,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATES[family],
    )


def _text_config(size: Size, vocab: int) -> dict[str, Any]:
    return {
        "vocab_size": -(-vocab // 64) * 64,
        "hidden_size": size.width,
        "intermediate_size": 3 * size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "rms_norm_eps": 1e-6,
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }


def _qwen_config(size: Size, text: dict[str, Any], token: dict[str, int]) -> Qwen2_5_VLConfig:
    pairs = size.width // HEADS // 2  # rotary pairs of a head, shared out over time, height and width
    side = pairs * 3 // 8
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [pairs - 2 * side, side, side]}
    return Qwen2_5_VLConfig(
        text_config=text | {"rope_parameters": rope},
        vision_config={
            "depth": size.vision_layers,
            "hidden_size": size.vision_width,
            "intermediate_size": 2 * size.vision_width,
            "num_heads": HEADS,
            "out_hidden_size": size.width,
            "fullatt_block_indexes": list(range(size.vision_layers)),
            "tokens_per_second": 4,
        },
        image_token_id=token["<|image_pad|>"],
        video_token_id=token["<|video_pad|>"],
        vision_start_token_id=token["<|vision_start|>"],
        vision_end_token_id=token["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def _llava_config(size: Size, text: dict[str, Any], token: dict[str, int]) -> LlavaOnevisionConfig:
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    return LlavaOnevisionConfig(
        text_config=text | {"model_type": "qwen2", "rope_parameters": rope},
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": size.vision_width,
            "intermediate_size": 2 * size.vision_width,
            "num_hidden_layers": size.vision_layers,
            "num_attention_heads": HEADS,
            "image_size": shapes.SIDE,
            "patch_size": 14,
            "vision_use_head": False,
        },
        image_token_index=token["<image>"],
        video_token_index=token["<video>"],
        image_grid_pinpoints=[[shapes.SIDE, shapes.SIDE]],
        tie_word_embeddings=True,
    )


def build_model(family: str, role: str, tokenizer: Qwen2Tokenizer) -> PreTrainedModel:
    """A randomly initialised model of `family` ("qwen2_5_vl", "llava_onevision") and `role` ("target", "draft")."""
    size = SIZES[role]
    token: dict[str, Any] = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIALS[family]}
    text = _text_config(size, len(tokenizer))
    if family == "qwen2_5_vl":
        return Qwen2_5_VLForConditionalGeneration(_qwen_config(size, text, token))
    return LlavaOnevisionForConditionalGeneration(_llava_config(size, text, token))
