"""Evidence: what the target lets be seen of itself. One file for each kind; a kind of your own registers itself."""

from vsd.evidence import (  # noqa: F401
    attention,
    features,
    frames,
    hidden,
    keys,
    relevance,
    vision_attention,
    visual_mass,
)
from vsd.evidence.base import KINDS, Attended, Probe, Reading, check_need, in_decoding, layer_number
from vsd.evidence.collector import Collector

__all__ = ["KINDS", "Attended", "Collector", "Probe", "Reading", "check_need", "in_decoding", "layer_number"]
