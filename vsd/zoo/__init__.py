"""The bundled tiny models, the generated clips they were trained on, and the recipe that trained them."""

from pathlib import Path

WEIGHTS = (Path(__file__).parent / "weights").resolve()
FAMILIES = ("qwen2_5_vl", "llava_onevision")
"""Of the bundled models: each has a `target` and its drafts `near` and `other`."""
