"""Target and draft models: one adapter per family over transformers' own classes."""

from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.checkpoint import (
    Checkpoint,
    ModelInfo,
    check_chunk,
    check_compile,
    check_contents,
    check_dtype,
    check_needs,
    check_pair,
    check_placement,
    check_rope,
    inspect,
    load,
    read_draft_vocab,
    resolve,
)
from vsd.models.placement import check_device

__all__ = [
    "Checkpoint",
    "ModelInfo",
    "State",
    "VideoLM",
    "check_chunk",
    "check_compile",
    "check_contents",
    "check_device",
    "check_dtype",
    "check_needs",
    "check_pair",
    "check_placement",
    "check_rope",
    "inspect",
    "load",
    "read_draft_vocab",
    "resolve",
]
