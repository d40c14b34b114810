"""A draft with its target's vision tower, saved as a checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

VISION = ("visual.", "vision_tower.", "multi_modal_projector.", "image_newline")
"""How the names of vision weights begin in the files of both families."""


def save_kin(target: Path, draft: Path, folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """The draft's checkpoint with the target's vision weights, then changed if that is asked for. `change` gets all
    weights by name."""
    shutil.copytree(draft, folder)
    weights, theirs = (load_file(each / "model.safetensors") for each in (draft, target))
    weights |= {name: weight for name, weight in theirs.items() if name.startswith(VISION)}
    if change:
        change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def one_step(weights: dict[str, Any]) -> None:
    """Changes one number of the last vision weight by the smallest step there is."""
    number = weights[max(name for name in weights if name.startswith(VISION))].view(-1)[0]
    number.copy_(torch.nextafter(number, torch.tensor(torch.inf, dtype=number.dtype)))
