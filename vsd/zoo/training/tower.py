"""How a target's tower learns to see: linear heads name what each cell shows.

It takes minutes, and without it the language model would first have to discover, through averages over all tokens, that
there is anything to look at. Of the cells few show an event, so these are averaged apart from the empty ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vsd.zoo.small_events.drawing import LABELS
from vsd.zoo.small_events.world import LOOKS
from vsd.zoo.training.family import Family
from vsd.zoo.training.models import STORED
from vsd.zoo.training.run import Shares
from vsd.zoo.training.sights import Sights, draw_sights

RMS = 0.5
"""Of a finished tower's features: about that of what language models read at their first layer."""
_PEAK = 3e-3
_CLIPS = 14  # a step
_EMPTY_WEIGHT = 0.5
_TRIED = 32  # clips on which a finished tower is measured


class CellHeads(nn.Linear):
    """A linear reading of each of `LABELS`; class 0 is "no event here"."""

    def __init__(self, width: int) -> None:
        self.sizes = [1 + len(values) for values in LABELS.values()]
        super().__init__(width, sum(self.sizes))

    def loss(self, features_XD: Tensor, sights: Sights) -> tuple[Tensor, Shares]:
        """The kinds' cross-entropies, and the share right of each kind in the cells of events; "empty" is how often the
        others are seen to be empty."""
        here_X = sights.event_PC.flatten() >= 0
        labels_XK = sights.kinds_PCK.flatten(0, 1)
        loss, right, empty = features_XD.new_zeros(()), {}, []
        for number, (kind, said_XN) in enumerate(zip(LABELS, self(features_XD).split(self.sizes, -1), strict=True)):
            label_X, best_X = labels_XK[:, number], said_XN.argmax(-1)
            here, elsewhere = (cross_entropy(said_XN[place], label_X[place]) for place in (here_X, ~here_X))
            loss = loss + here + _EMPTY_WEIGHT * elsewhere
            right[kind] = _share(best_X == label_X, here_X)
            if kind in LOOKS:
                empty.append(_share(best_X == 0, ~here_X))
        return loss, {**right, "empty": float(np.mean(empty))}


def _share(right_X: Tensor, place_X: Tensor) -> float:
    return right_X[place_X].float().mean().item()


class TowerStage:
    """`model` is one of the target's size; only its tower is trained."""

    peak = _PEAK

    def __init__(self, family: Family, model: Any, *, seed: int = 0, clips: int = _CLIPS) -> None:
        self._family, self._model, self._seed, self._clips = family, model, seed, clips
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            heads = CellHeads(model.config.text_config.hidden_size).to(model.device)
        self.parts = nn.ModuleDict({"tower": family.tower(model), "heads": heads})

    def draw(self, step: int, spent: float) -> Sights:
        return draw_sights(self._family, self._clips, np.random.default_rng([self._seed, step, 1]))

    def loss(self, drawn: Sights) -> tuple[Tensor, Shares]:
        sights = Sights(*(part.to(self._model.device) for part in drawn))
        features_XD = self._family.see(self._model, sights.frames_PFHWC).flatten(0, 1)
        heads: Any = self.parts["heads"]
        loss: tuple[Tensor, dict[str, float]] = heads.loss(features_XD, sights)
        return loss


@torch.no_grad()
def finish(family: Family, model: Any) -> None:
    """Scales the tower's features to RMS, in place."""
    sights = draw_sights(family, _TRIED, np.random.default_rng([0, 4]))
    features = family.see(model, sights.frames_PFHWC.to(model.device))
    scale = RMS / features.square().mean().sqrt()
    for weight in family.projector(model).parameters():
        weight.mul_(scale)


@torch.no_grad()
def write(family: Family, model: Any, file: Path) -> None:
    """Keeps a finished tower, its weights rounded as in a checkpoint: who learns from it sees what will be seen."""
    state = {name: weight.to(STORED) for name, weight in family.tower(model).state_dict().items()}
    torch.save(state, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)


def read(family: Family, model: Any, file: Path) -> None:
    """Puts a finished tower into the model, where it stays as it is. Raises FileNotFoundError before its stage."""
    if not file.exists():
        raise FileNotFoundError(f"{file}: must be there, train the stage before")
    tower = family.tower(model)
    tower.load_state_dict(torch.load(file, map_location=model.device, weights_only=True))
    tower.requires_grad_(False)
