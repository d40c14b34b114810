"""FLy: a mismatch stands where the target is unsure, unless another one follows soon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from vsd.fields import require, require_number, require_whole
from vsd.verifiers.relaxed import Line, Relaxed


def normalised_entropy(probs_nW: Tensor, top: int) -> list[float]:
    """Entropy over its maximum, in [0, 1]: of all words (`top` 0), or of the `top` likeliest, renormalised."""
    if top:
        probs_nW = probs_nW.topk(min(top, probs_nW.shape[-1]), dim=-1).values
        probs_nW = probs_nW / probs_nW.sum(-1, keepdim=True)
    most = math.log(probs_nW.shape[-1])
    entropies: list[float] = (-probs_nW.xlogy(probs_nW).sum(-1) / (most or 1.0)).tolist()
    return entropies


def gated(same: Sequence[bool], unsure: Sequence[bool], window: int) -> tuple[bool, ...]:
    """A mismatch stands where the target is unsure and none follows within `window` places (0: no such condition)."""
    return tuple(
        agrees or (unsure[place] and all(same[place + 1 : place + 1 + window])) for place, agrees in enumerate(same)
    )


@dataclass(frozen=True, kw_only=True)
class FLy(Relaxed):
    """A mismatch stands where the target's entropy is high, if no other one follows within a window.

    FLy, as compared with in arXiv 2604.05650. `entropy` is the least normalised entropy of the target at the
    mismatch; `window` the number of places behind it without another (0: the entropy gate alone); `top` takes the
    entropy over that many of the likeliest words only (0: over all). `entropy` above 1 is greedy verification.

    Differs from the paper in: a mismatch so near to the draft's end that the window is not full stands.
    """

    entropy: float = 0.3
    window: int = 6
    top: int = 0

    def __post_init__(self) -> None:
        require_number("verifier.entropy", self.entropy, least=0)
        require_whole("verifier.window", self.window, least=0)
        require("verifier.top", "0 or at least 2", self.top, self.top != 1)
        require_whole("verifier.top", self.top, least=0)

    def stands(self, line: Line) -> tuple[bool, ...]:
        if all(line.same):
            return line.same
        unsure = [value >= self.entropy for value in normalised_entropy(line.probs_nW, self.top)]
        return gated(line.same, unsure, self.window)
