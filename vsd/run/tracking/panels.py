"""What a run logs at its end, by the names of its panels in W&B. A page of a project asks for them by these names."""

from __future__ import annotations

SAMPLES, ROUNDS, NUMBERS = "samples", "rounds", "numbers"
"""Tables."""
TIME, PER_ROUND, BY_POSITION = "time", "accepted_per_round", "accepted_by_position"
"""Charts, each over a table of its own."""
CLIP, KEPT = "media/clip", "media/kept_tokens"
"""Videos, and frames with the visual tokens that the draft saw."""


def table_of(chart: str) -> str:
    """The name under which W&B keeps a chart's table."""
    return f"{chart}_table"
