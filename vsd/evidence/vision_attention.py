"""How much the vision tower itself attends to each visual token."""

from __future__ import annotations

from torch import Tensor

from vsd.evidence.base import Probe


class VisionAttention(Probe):
    """ "vision_attention": the weight on each visual token in the last block of the target's vision tower, (V,), mean
    over heads and queries, patches averaged as the projector merges them. There with the encoded prompt."""

    kind = "vision_attention"

    def value(self) -> Tensor:
        attention_V = self.reading.prompt.vision_attention_V
        assert attention_V is not None, "the video was encoded without it"
        return attention_V
