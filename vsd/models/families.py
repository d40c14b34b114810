"""The families of checkpoints there is an adapter for."""

from __future__ import annotations

from typing import Any

from transformers import LlavaOnevisionForConditionalGeneration, Qwen2_5_VLForConditionalGeneration

from vsd.models.base import VideoLM
from vsd.models.llava_onevision import LlavaOneVision
from vsd.models.qwen2_5_vl import Qwen25VL

FAMILIES: dict[str, tuple[type[VideoLM], Any]] = {
    Qwen25VL.model_type: (Qwen25VL, Qwen2_5_VLForConditionalGeneration),
    LlavaOneVision.model_type: (LlavaOneVision, LlavaOnevisionForConditionalGeneration),
}
"""By `model_type`: our adapter and transformers' class."""
