"""The vision features, as they stand in the prompt."""

from __future__ import annotations

from torch import Tensor

from vsd.evidence.base import Probe


class Features(Probe):
    """ "features": the outputs of the target's projector, (V, D), in raster/time order."""

    kind = "features"

    def value(self) -> Tensor:
        return self.reading.prompt.features_VD
