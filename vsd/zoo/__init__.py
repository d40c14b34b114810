"""The bundled tiny target/draft pairs, the generated clips they were trained on, and the recipe that trained them."""

from pathlib import Path

ROOT = Path(__file__).parent
WEIGHTS = ROOT / "weights"
CLIPS = ROOT / "clips"
