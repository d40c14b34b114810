"""Reading evidence: each function returns what the evidence holds, or says in a ValueError what is missing."""

from __future__ import annotations

import re
from typing import TypeVar

from torch import Tensor

from vsd.types import Evidence, Hidden

FEATURES = "features"
ATTENTION = "attention"
VIDEO_ATTENTION = "video_attention"
_T = TypeVar("_T")
_LAYER = re.compile(r"\d+|\d*\.\d+|\d+\.")


def hidden_need(layer: str) -> str:
    """The need that asks for the hidden states of `layer` (a number, or a fraction of the depth such as "0.5")."""
    return f"hidden:{layer}"


def is_layer(layer: str) -> bool:
    """Whether `layer` is written as Evidence wants it: a layer number, or a fraction in [0, 1] with a point."""
    return bool(_LAYER.fullmatch(layer)) and ("." not in layer or float(layer) <= 1)


def is_need(need: str) -> bool:
    """Whether `need` is something that Evidence can hold."""
    kind, colon, layer = need.partition(":")
    return is_layer(layer) if kind == "hidden" and colon else need in {FEATURES, ATTENTION, VIDEO_ATTENTION}


def features(evidence: Evidence) -> Tensor:
    """features_VD: the target's projector outputs."""
    return _rows_checked(_present(evidence.features_VD, FEATURES), evidence, FEATURES)


def attention(evidence: Evidence) -> Tensor:
    """attention_V: weight from the text suffix to each visual token, softmax over the whole context."""
    return _rows_checked(_present(evidence.attention_V, ATTENTION), evidence, ATTENTION)


def video_attention(evidence: Evidence) -> Tensor:
    """video_attention_V: the same weight with the softmax over the video keys only."""
    return _rows_checked(_present(evidence.video_attention_V, VIDEO_ATTENTION), evidence, VIDEO_ATTENTION)


def hidden(evidence: Evidence, layer: str) -> Hidden:
    """The states after `layer` layers, of the visual tokens and of a text suffix of at least one token."""
    states = _present(evidence.hidden.get(layer), hidden_need(layer))
    _rows_checked(states.visual_VD, evidence, hidden_need(layer))
    if states.text_SD.shape[0] == 0:
        raise ValueError(f"evidence {hidden_need(layer)!r} has no text tokens after the video")
    return states


def read(evidence: Evidence, need: str) -> Tensor | Hidden:
    """Whatever `need` names, checked."""
    if not is_need(need):
        raise ValueError(f"unknown evidence {need!r}: Evidence can hold features, attention, video_attention, hidden:L")
    kind, _, layer = need.partition(":")
    if kind == "hidden":
        return hidden(evidence, layer)
    return {FEATURES: features, ATTENTION: attention, VIDEO_ATTENTION: video_attention}[need](evidence)


def _present(value: _T | None, need: str) -> _T:
    if value is None:
        raise ValueError(f"evidence {need!r} is missing: it is computed only for a pruner whose `needs` name it")
    return value


def _rows_checked(value: Tensor, evidence: Evidence, need: str) -> Tensor:
    if value.shape[0] != evidence.tokens:
        raise ValueError(f"evidence {need!r} has {value.shape[0]} rows for {evidence.tokens} visual tokens")
    return value
