"""Keeps the visual tokens whose states have grown most."""

from dataclasses import dataclass

import growth  # noqa: F401 - it enters the kind
from torch import Tensor

from vsd.pruners.base import ScorePruner
from vsd.types import Evidence
from vsd.utils.validation import require_number


@dataclass(frozen=True, kw_only=True)
class Grown(ScorePruner):
    """Keep the tokens that have grown most behind a layer."""

    layer: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("pruner.layer", self.layer)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({f"growth:{self.layer}"})

    def score(self, evidence: Evidence) -> Tensor:
        growth_V: Tensor = evidence[f"growth:{self.layer}"]
        return growth_V
