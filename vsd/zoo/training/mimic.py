"""How the draft `near` learns to see: a smaller tower is taught the target's features by regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vsd.zoo.training.family import Family
from vsd.zoo.training.run import Shares
from vsd.zoo.training.sights import Sights, draw_sights
from vsd.zoo.training.tower import RMS

_PEAK = 4e-3
_CLIPS = 12  # a step


class MimicStage:
    """`teacher` has a finished tower; that of `model` is trained. Errors are shares of the features' mean square."""

    peak = _PEAK

    def __init__(self, family: Family, teacher: Any, model: Any, *, seed: int = 0, clips: int = _CLIPS) -> None:
        self._family, self._teacher, self._model, self._seed, self._clips = family, teacher, model, seed, clips
        self.parts = nn.ModuleDict({"tower": family.tower(model)})

    def draw(self, step: int, spent: float) -> Sights:
        return draw_sights(self._family, self._clips, np.random.default_rng([self._seed, step, 2]))

    def loss(self, drawn: Sights) -> tuple[Tensor, Shares]:
        frames = drawn.frames_PFHWC.to(self._model.device)
        here = drawn.event_PC.to(self._model.device) >= 0
        with torch.no_grad(), torch.autocast(frames.device.type, enabled=False):  # what is right is not rounded
            right = self._family.see(self._teacher, frames)
        error = (self._family.see(self._model, frames) - right).square().mean(-1) / RMS**2
        events, empty = error[here].mean(), error[~here].mean()
        return events + empty, {"events": events.item(), "empty": empty.item()}
