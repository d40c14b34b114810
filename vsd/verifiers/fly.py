"""FLy: a mismatch stands where the target is unsure, unless another one follows soon."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor

from vsd.utils.validation import require, require_number, require_one_of, require_whole
from vsd.verifiers.relaxed import Line, Relaxed

End = Literal["strict", "fits", "open"]


def entropies(probs_nW: Tensor, top: int, *, normalised: bool) -> list[float]:
    """The entropy at each place, in nats: the sum of -p ln p over the `top` likeliest tokens (0: over all).

    `normalised`: their probabilities are scaled to sum to 1 and the entropy is divided by its maximum, so that it lies
    in [0, 1].
    """
    if top:
        probs_nW = probs_nW.topk(min(top, probs_nW.shape[-1]), dim=-1).values
    if normalised:
        probs_nW = probs_nW / probs_nW.sum(-1, keepdim=True)
    most = math.log(probs_nW.shape[-1]) if normalised else 1.0
    values: list[float] = (-probs_nW.xlogy(probs_nW).sum(-1) / (most or 1.0)).tolist()
    return values


def gated(same: Sequence[bool], unsure: Sequence[bool], window: int, end: End) -> tuple[bool, ...]:
    """Which places stand: those that agree, and a mismatch where the target is unsure, if the other places of its
    window agree and it is not too near to the end.

    The window is `window` places long and begins with the mismatch itself (0: there is none). `end`: which mismatches
    are too near to the end: the last `window` ("strict"), those whose window does not fit ("fits"), or none ("open").
    """
    strict = {"strict": window, "fits": window - 1, "open": 0}[end] if window else 0
    return tuple(
        agrees or (unsure[place] and place < len(same) - strict and all(same[place + 1 : place + window]))
        for place, agrees in enumerate(same)
    )


@dataclass(frozen=True, kw_only=True)
class FLy(Relaxed):
    """A mismatch stands where the target's entropy is high, if no other one follows within a window.

    FLy, arXiv 2511.22972, by its authors' code. A mismatch stands if the entropy of the target's `top` likeliest tokens
    there, the sum of -p ln p in nats without renormalising, is at least `entropy`, and the `window` - 1 places behind
    it agree. With the authors' values a mismatch among the last `window` places of a draft is strict. So **a draft of 6
    tokens or less is never relaxed**, and gamma should be far above the window: the authors draft 15. Three tokens have
    an entropy of at most ln 3 = 1.0986: `entropy` above it is greedy verification.

    Variants are fields. `end=fits`: a mismatch is strict only if its window does not fit into the draft, one place less
    than in the authors' code; `end=open`: the window need not fit. `window=7 end=fits`: six places behind the mismatch,
    as vLLM's port counts. `window=0`: the entropy gate alone. `top=0 normalised=true`: the entropy of all tokens,
    divided by its maximum, as arXiv 2604.05650 describes it.

    Differs from the paper in: of a tree, every path from the root to a leaf is judged like a chain, gate included (the
    authors' code for trees leaves the gate out and counts the strict places from the end of the longest path); the
    target's distribution is taken at temperature 1.
    """

    strict: ClassVar[Mapping[str, Any]] = {"entropy": 1.1, "top": 3, "normalised": False}
    loose: ClassVar[Mapping[str, Any]] = {"entropy": 0.0, "window": 0}

    entropy: float = 0.3
    top: int = 3
    normalised: bool = False
    window: int = 6
    end: End = "strict"

    def __post_init__(self) -> None:
        require_number("verifier.entropy", self.entropy, least=0)
        require("verifier.top", "0 or at least 2", self.top, self.top != 1)
        require_whole("verifier.top", self.top, least=0)
        require("verifier.normalised", "true or false", self.normalised, isinstance(self.normalised, bool))
        require("verifier.window", "0 or at least 2", self.window, self.window != 1)
        require_whole("verifier.window", self.window, least=0)
        require_one_of("verifier.end", self.end, get_args(End))

    def idle(self, depth: int) -> str:
        least = {"strict": self.window + 1, "fits": self.window, "open": 1}[self.end]
        if depth >= least:
            return ""
        rule = f"with window={self.window} a draft must be at least {least} tokens long (gamma, or a deeper tree)"
        return f"verifier=fly relaxes nothing: {rule}, got {depth}"

    def stands(self, line: Line) -> tuple[bool, ...]:
        if all(line.same):
            return line.same
        unsure = [value >= self.entropy for value in entropies(line.probs_nW, self.top, normalised=self.normalised)]
        return gated(line.same, unsure, self.window, self.end)
