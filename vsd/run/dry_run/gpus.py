"""Another machine that a run is checked for: ``dry_run=h100*4``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsd.step_times.devices import DEVICES, several

if TYPE_CHECKING:
    from vsd.models.hardware import GPUs

RULE = f"false, true, or GPUs that are not here as h100 or h100*4 (of {', '.join(DEVICES)})"


def holds(value: object) -> bool:
    """Whether the dial has a value that means something."""
    return isinstance(value, bool) or (isinstance(value, str) and several(value) is not None)


def gpus_of(value: bool | str) -> GPUs | None:
    """The GPUs that a value names; None for this machine's own."""
    named = several(value) if isinstance(value, str) else None
    if named is None:
        return None
    from vsd.models.hardware import GPUs

    kind, count = named
    return GPUs(count=count, kind=kind, memory=int(DEVICES[kind].memory))
