"""What a notebook needs: `Engine`, `load` for models, `load_video` for frames, and `load_run` and `load_runs` for what
runs have left; each is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsd.engine import Engine
    from vsd.models import load
    from vsd.run.results import load_run, load_runs
    from vsd.video import read as load_video

__all__ = ["Engine", "load", "load_run", "load_runs", "load_video"]

_WHERE = {
    "Engine": ("vsd.engine", "Engine"),
    "load": ("vsd.models", "load"),
    "load_run": ("vsd.run.results", "load_run"),
    "load_runs": ("vsd.run.results", "load_runs"),
    "load_video": ("vsd.video", "read"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)
