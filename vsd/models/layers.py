"""Which kinds of layers the engine can run."""

from __future__ import annotations

from typing import Any

_FULL = "full_attention"


def check_full_attention(config: Any, *, name: str, field: str) -> None:
    """Raise ValueError unless all layers of the text model attend to the whole context.

    `config` is the text model's. One that lists no layers (`layer_types` None or missing) has full attention
    everywhere, unless it uses a sliding window.
    """
    kinds = set(getattr(config, "layer_types", None) or ())
    if not kinds and getattr(config, "use_sliding_window", False):
        kinds = {"sliding_attention"}
    if kinds - {_FULL}:
        rule = "all layers must have full attention (no sliding windows)"
        raise ValueError(f"{field}: {rule}, got {', '.join(sorted(kinds - {_FULL}))} in {name!r}")
