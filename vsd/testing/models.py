"""What contracts decode with: a bundled model of each family in float64 that writes few tokens, so that any of them is
plausible, and a small video."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cache

import numpy as np
import torch

from vsd.engine import Engine
from vsd.evidence import Collector, Reading, in_decoding
from vsd.evidence.relevance import Relevance
from vsd.models import VideoLM, load
from vsd.models.families import FAMILIES
from vsd.parallelism import Autoregressive
from vsd.types import Prompt, Video

PLAUSIBLE = 8
"""Tokens 0, 1, 2, ... that a target may write."""
TOKENS = 12
"""Of a generation."""
QUESTION = "What moves, and where to?"
FAMILY_NAMES = tuple(sorted(FAMILIES))
FAMILY = FAMILY_NAMES[0]
"""For what does not follow from the family."""


@cache
def model_of(family: str) -> VideoLM:
    """The bundled target with a random head for the PLAUSIBLE tokens, while all others have probability 0; no token
    ends a generation. It drafts for itself, on a pruned prompt. Its `encode` knows one prompt alone.

    What the states behind all tokens have in common is taken out of the head, or it would write one token for ever.
    """
    model = load(f"zoo:{family}/target", dtype="float64").trim(range(PLAUSIBLE))
    prompt = model.encode(video(), QUESTION, vision_attention=True)
    last = f"hidden:{model.depth}"
    collector = Collector({last: last}, Reading(prompt=prompt, depth=model.depth), in_passes=[last])
    state, _ = model.prefill(prompt)
    output = model.forward(torch.arange(PLAUSIBLE), (-1,) * PLAUSIBLE, state, collector=collector)
    common_D = output.evidence[last].mean(0)
    generator = torch.Generator().manual_seed(1)
    head_WD = torch.randn(model._head_rows.shape, generator=generator, dtype=torch.float64)
    model._head_rows = head_WD - (head_WD @ common_D)[:, None] * common_D / (common_D @ common_D)
    model.eos = frozenset()
    model.encode = lambda *_, **options: prompt  # type: ignore[method-assign]
    return model


def ending_with(model: VideoLM, token: int) -> VideoLM:
    """The same model, whose generations end with this token."""
    ending = copy.copy(model)
    ending.eos = frozenset({token})
    return ending


@cache
def video() -> Video:
    """Five frames of noise, half a second apart: for Qwen2.5-VL the last one has a temporal patch of its own."""
    frames = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 3), dtype=np.uint8)
    return Video(frames=frames, timestamps=np.arange(5) / 2.0)


@cache
def prompt_of(family: str) -> Prompt:
    """The prompt of the video and the question."""
    return model_of(family).encode(video(), QUESTION)


@cache
def target_tokens(family: str) -> tuple[int, ...]:
    """What the target says alone, in TOKENS tokens."""
    engine = Engine(target=model_of(family), parallelism=Autoregressive(), max_new_tokens=TOKENS)
    return engine.run(video(), QUESTION).tokens


def collector_of(family: str, needs: Iterable[str]) -> Collector:
    """Collects these needs of the prompt, each under its own name, and of later passes what has rows there."""
    model, named = model_of(family), {need: Relevance().need if need == "relevance" else need for need in needs}
    reading = Reading(prompt=prompt_of(family), depth=model.depth, video=video(), frames_per_step=model.frames_per_step)
    return Collector(named, reading, in_passes=[name for name, need in named.items() if in_decoding(need)])
