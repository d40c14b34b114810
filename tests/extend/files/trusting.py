"""A token stands if it is the target's own, or if the draft was sure of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vsd.models.tree import children
from vsd.types import Draft, Output, Verdict, VerifierContext
from vsd.utils.random_source import RandomSource
from vsd.utils.validation import require_number
from vsd.verifiers.base import Verifier


@dataclass(frozen=True, kw_only=True)
class Trusting(Verifier):
    """Let stand what the draft gave a probability of `sure` or more; from 1.1 on greedy verification."""

    lossless = False
    needs_confidence = True
    strict: ClassVar[Mapping[str, Any]] = {"sure": 1.1}
    loose: ClassVar[Mapping[str, Any]] = {"sure": 0.1}

    sure: float = 0.5

    def __post_init__(self) -> None:
        require_number("verifier.sure", self.sure, least=0)

    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        assert draft.confidence_N is not None or not len(draft.tokens_N)
        argmax, tokens, below = (
            output.logits_MW.argmax(-1).tolist(),
            draft.tokens_N.tolist(),
            children(draft.parents_N.tolist()),
        )
        sure = [] if draft.confidence_N is None else draft.confidence_N.tolist()
        path, relaxed, node = [], [], -1
        while node + 1 < len(argmax):
            own = argmax[node + 1]
            standing = [child for child in below[node] if tokens[child] == own or sure[child] >= self.sure]
            if not standing:
                break
            node = standing[0]
            path.append(node)
            relaxed.append(tokens[node] != own)
        row = output.behind(path)
        return Verdict(path=tuple(path), bonus=None if row is None else argmax[row], relaxed=tuple(relaxed))
