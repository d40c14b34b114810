"""What the lossy rules share: a token that is not the target's own may stand all the same, and it is recorded."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vsd.models.tree import depths, leaves
from vsd.types import Draft, Output, Verdict, VerifierContext
from vsd.utils.random_source import RandomSource
from vsd.verifiers.base import Verifier


@dataclass(frozen=True, kw_only=True)
class Line:
    """One path of a draft from the root to a leaf, of n tokens, as a rule looks at it.

    `tokens` are the draft's, `argmax` the target's own token at each of their places (given the draft's before it),
    `logits_nW` the target's logits there; `context` says what was before; `relevance` is that of each place, if it was
    wanted; `spared` says which places a draw spares, by the rule's `odds`.
    """

    tokens: tuple[int, ...]
    argmax: tuple[int, ...]
    logits_nW: Tensor
    context: VerifierContext
    relevance: tuple[float, ...] = ()
    spared: tuple[bool, ...] = ()

    @property
    def same(self) -> tuple[bool, ...]:
        """Where the draft's token is the target's own."""
        return tuple(ours == theirs for ours, theirs in zip(self.tokens, self.argmax, strict=True))

    @property
    def probs_nW(self) -> Tensor:
        """The target's distribution at each place, at temperature 1."""
        wide = self.logits_nW if self.logits_nW.dtype == torch.float64 else self.logits_nW.float()
        return wide.softmax(-1)


@dataclass(frozen=True, kw_only=True)
class Relaxed(Verifier):
    """Greedy verification in which some tokens that differ from the target's own stand; most rules write only `stands`.

    The longest path that stands wins; among equals the one with fewer relaxed tokens, then the first.
    """

    lossless: ClassVar[bool] = False

    @abstractmethod
    def stands(self, line: Line) -> tuple[bool, ...]:
        """Which of the line's tokens may stand, if those before them do. Where draft and target agree, True."""

    def odds(self, place: int) -> float:
        """The probability that a draw spares a token at this place of a path, drawn once for each node; 0 never."""
        return 0.0

    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        """The verdict, as `Verifier.verify` has it."""
        argmax_M = output.logits_MW.argmax(-1).tolist()
        tokens = draft.tokens
        parents = draft.parents
        odds = [self.odds(depth) for depth in depths(parents)]
        spared = [random.happens(odd) for odd in odds] if any(odds) else [False] * len(odds)
        best, best_line, fewest = list[int](), None, 0
        for path in leaves(parents):
            line = _line(path, tokens, parents, argmax_M, spared, output, context)
            count = leading(self.stands(line))
            relaxed = line.same[:count].count(False)
            if count > len(best) or (count == len(best) and best_line is not None and relaxed < fewest):
                best, best_line, fewest = path[:count], line, relaxed
        row = output.behind(best)
        bonus = None if row is None else argmax_M[row]
        if best_line is None:
            return Verdict(path=(), bonus=bonus)
        different = tuple(not same for same in best_line.same[: len(best)])
        return Verdict(path=tuple(best), bonus=bonus, relaxed=different, gaps=_gaps(best_line, different))


def _line(
    path: list[int],
    tokens: list[int],
    parents: list[int],
    argmax_M: list[int],
    spared: list[bool],
    output: Output,
    context: VerifierContext,
) -> Line:
    before = [parents[node] + 1 for node in path]
    return Line(
        tokens=tuple(tokens[node] for node in path),
        argmax=tuple(argmax_M[row] for row in before),
        logits_nW=output.logits_MW[before],
        context=context,
        relevance=tuple(output.evidence["relevance"][before].tolist()) if "relevance" in output.evidence else (),
        spared=tuple(spared[node] for node in path),
    )


def leading(stands: tuple[bool, ...]) -> int:
    """How many tokens stand before the first that does not."""
    return stands.index(False) if False in stands else len(stands)


def _gaps(line: Line, different: tuple[bool, ...]) -> tuple[float, ...]:
    """How much likelier the target's own token was than the one that stands: 0 where they are the same."""
    if not any(different):
        return (0.0,) * len(different)
    probs_nW = line.probs_nW
    return tuple(
        float(probs_nW[place, line.argmax[place]] - probs_nW[place, line.tokens[place]]) if differs else 0.0
        for place, differs in enumerate(different)
    )
