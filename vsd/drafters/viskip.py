"""ViSkip: no drafting while the target looks at the video."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vsd.drafters.wrapper import DrafterWrapper
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.types import Context, Draft
from vsd.utils.random_source import RandomSource
from vsd.utils.validation import require_number


@dataclass(frozen=True, kw_only=True)
class ViSkip(DrafterWrapper):
    """Asks another drafter, but for nothing in a round where the target's attention is on the video.

    ViSkip of MMSpec, arXiv 2603.14989. The mass is the sum of the target's attention weights on the visual tokens in
    its last layer, mean over the heads, of the last position that it has verified, in the prefill for the first round.
    From `threshold` on the draft of the round is dropped, and the target goes on alone for one token; a threshold above
    1 never drops one. The generation is as exact as ever.

    Differs from the paper in: a dropped draft is not made at all (of the authors' variants one makes it and throws it
    away); every verified position is looked at, also one behind a token that the target wrote alone; LLaVA-OneVision's
    closing newline counts as text. Under a parallel schedule a draft follows the mass of the last position verified
    when it is asked for, behind which a window may still be unverified; a window drafted within the target's prefill
    is never dropped.
    """

    threshold: float = 0.35

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("drafter.threshold", self.threshold, least=0)

    @property
    def needs(self) -> frozenset[str]:
        return self.inner.needs | {"visual_mass"}

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        mass_n = context.evidence.get("visual_mass")
        if mass_n is not None and float(mass_n[-1]) >= self.threshold:
            nothing = torch.empty(0, dtype=torch.long)
            return Draft(tokens_N=nothing, parents_N=nothing)
        return self.inner.propose(context, model, state, gamma, random)
