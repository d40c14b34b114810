"""Why a generation differs from the target's own although the rule is lossless: two tokens nearly tied, or a fault.

Below float64 passes of one row and of many add up in another order, and now and then round the logits of two tokens
that are nearly equal the other way. So the target reads a generation that differs once more, and at the first
difference the two tokens' logits are looked at; behind it, each token's: it must be the likeliest, but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from vsd.types import Video

if TYPE_CHECKING:
    from vsd.models.base import VideoLM

STEPS = {torch.bfloat16: 4.0, torch.float16: 4.0, torch.float32: 64.0, torch.float64: 0.0}
"""How many steps of a dtype two logits that rounding parts may lie apart. Half precision rounds what was added up in
float32, so few; float32 rounds at every addition, so more. (Of the bundled targets the largest logits moved by at most
2.7 steps in bfloat16, 1.8 in float16 and 12 in float32 between passes of one row and of eight.)"""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Two generations at the first place at which they differ.

    `ours` and `baseline` are their tokens there, None behind the end of one. `gap` is how far the lower of their two
    logits lies below the largest of all, our tokens read in one pass (None if it could not be found out); `step` is the
    dtype's step at the size of that largest logit, and `limit` how many of these a near-tie may be wide. `violations`
    counts our tokens, from that place on, whose logits lie further below the largest, and an end where none may be.
    """

    place: int
    ours: int | None
    baseline: int | None
    gap: float | None = None
    step: float = 0.0
    limit: float = 0.0
    violations: int = 0

    @property
    def explained(self) -> bool:
        """Whether rounding explains the difference."""
        return self.gap is not None and self.gap <= self.limit * self.step and not self.violations


@torch.inference_mode()
def audit(target: VideoLM, video: Video, question: str, ours: Sequence[int], baseline: Sequence[int]) -> Audit:
    """Look at two generations of this target, from the first place at which they differ on. Raises ValueError if they
    are the same."""
    from vsd.models.tree import chain  # a record, which holds an audit, is read without any model

    difference = first_difference(ours, baseline)
    if difference.ours is None or difference.baseline is None:
        return replace(difference, violations=1)
    place, prompt = difference.place, target.encode(video, question)
    state, logits_W = target.prefill(prompt, capacity=prompt.length + len(ours))
    logits_MW = logits_W[None]
    if len(ours) > 1:
        read_M = torch.tensor(list(ours[:-1]), device=target.device)
        logits_MW = torch.cat((logits_MW, target.forward(read_M, chain(len(read_M)), state).logits_MW))
    logits_MW = logits_MW[place:]
    ours_M = torch.tensor(list(ours[place:]), device=logits_MW.device)
    largest_M, own_M = logits_MW.amax(-1).double(), logits_MW.gather(1, ours_M[:, None])[:, 0].double()
    kind = target.model.dtype
    step_M = torch.finfo(kind).eps * largest_M.abs()
    lower = torch.minimum(own_M[0], logits_MW[0, difference.baseline].double())
    return replace(
        difference,
        gap=float(largest_M[0] - lower),
        step=float(step_M[0]),
        limit=STEPS[kind],
        violations=int((largest_M - own_M > STEPS[kind] * step_M).sum()),
    )


def first_difference(ours: Sequence[int], baseline: Sequence[int]) -> Audit:
    """The place and the tokens, without logits. Raises ValueError if there is no difference."""
    if tuple(ours) == tuple(baseline):
        raise ValueError(f"audit: the generations must differ, got {len(ours)} tokens that are the same")
    shared = zip(ours, baseline, strict=False)
    place = next((place for place, (one, other) in enumerate(shared) if one != other), min(len(ours), len(baseline)))
    tokens = [side[place] if place < len(side) else None for side in (ours, baseline)]
    return Audit(place=place, ours=tokens[0], baseline=tokens[1])
