"""What each visual token shows: how a bundled model learns to see, before it learns to talk and while it does.

Throw-away linear heads name, for each visual token, the shape that covers most of its cell (colour, shape, size,
motion, where its centre lies) and the background. Tower and projector are pretrained with them, as real towers are; it
takes minutes, and without it the language model first has to discover, through averages over all tokens, that there is
anything to look at. Later the language model's middle layer is asked the same (see `vsd.zoo.train`).
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vsd.zoo import shapes

log = logging.getLogger(__name__)
CELL = 28  # pixels a visual token covers along each axis
NOTHING = 0.05  # a cell with less of a shape in it shows none
KINDS: dict[str, tuple[str, ...]] = {
    "colour": tuple(shapes.COLOURS),
    "shape": shapes.SHAPES,
    "size": tuple(shapes.SIZES),
    "motion": tuple(shapes.MOTIONS),
    "texture": shapes.TEXTURES,
    "tone": tuple(shapes.TONES),
}


def cell_labels(scene: shapes.Scene, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels of every cell, (frames * cells, kinds) with 0 for "no shape"; and where the shape's centre lies from the
    cell's, in cells, (frames * cells, 2), NaN without a shape."""
    side = shapes.SIDE // CELL
    labels = np.zeros((len(times), side, side, len(KINDS)), np.int64)
    offsets = np.full((len(times), side, side, 2), np.nan, np.float32)
    labels[..., -2] = 1 + shapes.TEXTURES.index(scene.texture)
    labels[..., -1] = 1 + list(shapes.TONES).index(scene.tone)
    middle = (np.arange(side) + 0.5) * CELL
    for number, time in enumerate(times):
        best = np.full((side, side), NOTHING)
        for shape in scene.shapes:
            cover = np.zeros((shapes.SIDE, shapes.SIDE), np.float32)
            rows, columns, part = shapes.coverage(shape, float(time))
            cover[rows, columns] = part[..., 0]
            share = cover.reshape(side, CELL, side, CELL).mean((1, 3))
            more = share > best
            best[more] = share[more]
            named = [1 + KINDS[kind].index(getattr(shape, kind)) for kind in ("colour", "shape", "size", "motion")]
            labels[number, more, :4] = named
            x, y = shapes.centre(shape, float(time))
            place = np.stack(np.broadcast_arrays((x - middle)[None, :], (y - middle)[:, None]), -1) / CELL
            offsets[number, more] = place[more]
    return labels.reshape(-1, len(KINDS)), offsets.reshape(-1, 2)


class Heads(nn.Linear):
    """A linear reading of each kind, and of the centre, from a visual token's D features."""

    def __init__(self, width: int) -> None:
        self.sizes = [1 + len(names) for names in KINDS.values()]
        super().__init__(width, sum(self.sizes) + 2)

    def loss(self, features_XD: Tensor, labels: Tensor, offsets: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The kinds' mean cross-entropies and the squared error of the centres, summed; and the share right of each
        kind over the tokens that show it."""
        *said, place = self(features_XD).split([*self.sizes, 2], dim=-1)
        losses = [nn.functional.cross_entropy(one, labels[:, k]) for k, one in enumerate(said)]
        seen = ~offsets[:, 0].isnan()
        losses.append((place[seen] - offsets[seen]).square().sum() / max(1, 2 * int(seen.sum())))
        right = {}
        for k, (kind, one) in enumerate(zip(KINDS, said, strict=True)):
            asked = labels[:, k] > 0
            right[kind] = float((one.argmax(-1) == labels[:, k])[asked].sum()) / max(1, int(asked.sum()))
        return torch.stack(losses).sum(), right


def pretrain(model: Any, features: Any, draw: Any, *, steps: int, frames_per_token: int) -> None:
    """Trains vision tower and projector in place. `draw(step)` gives clips, their scenes and times; `features(clips)`
    the projected grid tokens, (B, V, D)."""
    heads = Heads(model.get_input_embeddings().embedding_dim).to(next(model.parameters()).device)
    parts = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parts, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps + 1, pct_start=0.1)
    for step in range(steps):
        clips, scenes, times = draw(step)
        seen = times.reshape(-1, frames_per_token).mean(1)
        named = [cell_labels(scene, seen) for scene in scenes]
        labels, offsets = (torch.from_numpy(np.concatenate(part)) for part in zip(*named, strict=True))
        features_XD = features(clips).flatten(0, 1)
        loss, right = heads.loss(features_XD, labels.to(features_XD.device), offsets.to(features_XD.device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parts, 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 50 == 0:
            shares = ", ".join(f"{kind} {share:.2f}" for kind, share in right.items())
            log.info("vision: step %d, loss %.3f, right: %s", step + 1, loss.item(), shares)
