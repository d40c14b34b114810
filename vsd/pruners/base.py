"""What every pruner is: fields, the evidence it needs, and `keep`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from vsd.pruners.select import budget, top
from vsd.types import Evidence, Grid
from vsd.utils.validation import is_number


@dataclass(frozen=True, kw_only=True)
class Pruner(ABC):
    """Chooses the visual tokens that the draft's prompt keeps.

    `ratio` is the share of visual tokens REMOVED, in [0, 1): K = floor(V * (1 - ratio)) stay, but at least 1.

    Raises ValueError from the constructor when a field is out of its range.
    """

    ratio: float

    def __post_init__(self) -> None:
        if not is_number(self.ratio) or not 0 <= self.ratio < 1:
            raise ValueError(f"pruner.ratio must be in [0, 1), got {self.ratio!r}")

    @property
    def needs(self) -> frozenset[str]:
        """The evidence that `keep` reads, by name (see `vsd.evidence`). What is not needed is not computed.

        A ClassVar where it is fixed, a property where it depends on fields.
        """
        return frozenset()

    @abstractmethod
    def keep(self, evidence: Evidence) -> Tensor:
        """kept_K: indices into V, int64, sorted and unique, on the evidence's device (the CPU if none was needed).

        The same evidence always gives the same indices, nothing in it is changed, and ratio 0 keeps every token.
        Raises ValueError when needed evidence is missing or of the wrong length.
        """

    def budget(self, grid: Grid) -> int:
        """K, the number of tokens to keep of this grid. Raises ValueError when the grid is empty."""
        if grid.tokens < 1:
            raise ValueError(f"there is nothing to prune: the visual grid is {tuple(grid)}")
        return budget(grid.tokens, self.ratio)


@dataclass(frozen=True, kw_only=True)
class ScorePruner(Pruner):
    """A pruner that gives each visual token a score and keeps the highest; most methods write only `score`."""

    @abstractmethod
    def score(self, evidence: Evidence) -> Tensor:
        """score_V: the higher, the better worth keeping. Any real dtype; without NaN."""

    def select(self, score_V: Tensor, grid: Grid, k: int) -> Tensor:
        """kept_K from the scores; called with k < V. The k highest, ties towards earlier tokens."""
        return top(score_V, k)

    def keep(self, evidence: Evidence) -> Tensor:
        """kept_K, as `Pruner.keep` has it."""
        k = self.budget(evidence.grid)
        for need in self.needs:
            evidence[need]  # raises for what is missing
        score_V = self.score(evidence)
        if score_V.shape != (evidence.tokens,):
            raise ValueError(f"{type(self).__name__}.score gave shape {tuple(score_V.shape)}, not ({evidence.tokens},)")
        if score_V.isnan().any():
            raise ValueError(f"{type(self).__name__}.score gave NaN: is there NaN or infinity in the evidence?")
        if k == evidence.tokens:
            return torch.arange(k, device=score_V.device)
        return self.select(score_V, evidence.grid, k)
