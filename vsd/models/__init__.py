"""Target and draft models: one adapter per family over transformers' own classes."""

from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.checkpoint import (
    Checkpoint,
    ModelInfo,
    check_contents,
    check_needs,
    check_options,
    check_pair,
    check_placement,
    check_unquantised,
    computing,
    inspect,
    load,
    read_draft_vocab,
    resolve,
    same_weights,
)
from vsd.models.placement import check_device

__all__ = [
    "Checkpoint",
    "ModelInfo",
    "State",
    "VideoLM",
    "check_contents",
    "check_device",
    "check_needs",
    "check_options",
    "check_pair",
    "check_placement",
    "check_unquantised",
    "computing",
    "inspect",
    "load",
    "read_draft_vocab",
    "resolve",
    "same_weights",
]
