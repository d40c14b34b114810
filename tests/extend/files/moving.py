"""Keeps the visual tokens where the pictures change."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vsd.pruners.base import ScorePruner
from vsd.types import Evidence, Frames


@dataclass(frozen=True, kw_only=True)
class Moving(ScorePruner):
    """Keep the places whose pixels differ most from those of the frame before."""

    needs = frozenset({"frames"})

    def score(self, evidence: Evidence) -> Tensor:
        frames: Frames = evidence["frames"]
        grey_FHW = torch.from_numpy(frames.video.frames).float().mean(-1)
        return frames.per_token(grey_FHW.diff(dim=0, prepend=grey_FHW[:1]).abs())
