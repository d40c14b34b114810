"""The bundled tiny target/draft pairs, the generated clips they were trained on, and the recipe that trained them."""

from pathlib import Path

ROOT = Path(__file__).parent
WEIGHTS = ROOT / "weights"
CLIPS = ROOT / "clips"
ROPES = {"qwen2_5_vl": "library", "llava_onevision": "trained"}
"""Whose rotary positions each bundled pair was taught (see `vsd.models.base.ROPES`); their options say so too."""
