"""ParallelVLM's UV-Prune: no attention weights, so it works under any attention kernel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vsd.evidence.base import is_layer
from vsd.pruners.base import ScorePruner
from vsd.pruners.similarity import unit
from vsd.types import Evidence, Hidden
from vsd.utils.validation import require


@dataclass(frozen=True, kw_only=True)
class UVPrune(ScorePruner):
    """Keeps the visual tokens whose similarity to the text grows most on the way through the target's layers.

    Paper: arXiv 2603.19610 (ParallelVLM).

    The paper's score is the sum over text tokens j and layers l = 1..L of cos(v_i, x_j) after layer l minus the same
    after layer l - 1. The sum over layers telescopes, so the states after layer L and before the first layer suffice.

    `layer` is L: a layer number, or a fraction of the depth written with a point ("0.5" is the middle layer, "1.0" the
    last). `growth` false scores by the similarity after layer L alone (the ablation).

    Differs from the paper in: L is not published, the middle layer by default so that the draft can start early; the
    text tokens are not published, here all that follow the video (question and chat tail); K is rounded down.
    """

    layer: str = "0.5"
    growth: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        # YAML and the command line read 0.5 and 12 as numbers; evidence is looked up by text.
        object.__setattr__(self, "layer", str(self.layer))
        if not is_layer(self.layer) or float(self.layer) == 0:
            rule = "a layer number above 0 or a fraction of the depth in (0, 1] written with a point"
            raise ValueError(f"pruner.layer must be {rule}, got {self.layer!r}")
        require("pruner.growth", "true or false", self.growth, isinstance(self.growth, bool))

    @property
    def needs(self) -> frozenset[str]:
        """The hidden states after `layer` layers, and before the first one where it is growth that counts."""
        return frozenset({f"hidden:{self.layer}"} | ({"hidden:0"} if self.growth else set()))

    def score(self, evidence: Evidence) -> Tensor:
        """score_V: the growth of the summed similarity between the two layers, or what it has grown to."""
        late_V = similarity_to_text(evidence[f"hidden:{self.layer}"])
        return late_V - similarity_to_text(evidence["hidden:0"]).to(late_V) if self.growth else late_V


def similarity_to_text(states: Hidden) -> Tensor:
    """Sum over the text tokens of each visual token's cosine with them, (V,): one product with the summed unit text."""
    text_D = unit(states.text_SD).sum(0)
    return unit(states.visual_VD) @ text_D
