"""The first tokens exact, whatever the rule behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vsd.models.tree import depths, of_nodes
from vsd.types import Draft, Output, Verdict, VerifierContext
from vsd.utils.random_source import RandomSource
from vsd.utils.validation import require, require_whole
from vsd.verifiers.base import Verifier


@dataclass(frozen=True, kw_only=True)
class ExactPrefix(Verifier):
    """The first `length` tokens are the target's own, then another rule decides.

    Relaxed rules weaken safety alignment most in the first tokens of a generation. The border may lie within a draft:
    up to it the tokens are judged by the exact rule, and if all of them stand, those behind it are a draft of its own
    for the rule `inner`. So it holds under every schedule and every gamma.
    """

    inner: Verifier
    length: int = 16

    def __post_init__(self) -> None:
        require_whole("verifier.length", self.length, least=0)
        require("verifier.inner", "a verifier", self.inner, isinstance(self.inner, Verifier))

    @property
    def lossless(self) -> bool:
        return self.inner.lossless

    @property
    def synthetic(self) -> bool:
        return self.inner.synthetic

    @property
    def needs_confidence(self) -> bool:
        return self.inner.needs_confidence

    @property
    def needs(self) -> frozenset[str]:
        return self.inner.needs

    @property
    def deterministic(self) -> bool:
        return self.inner.deterministic

    @property
    def strict(self) -> Mapping[str, Any]:
        return {"length": 10**9}

    @property
    def loose(self) -> Mapping[str, Any]:
        return {"length": 2, "inner": replace(self.inner, **self.inner.loose)}  # type: ignore[type-var]

    def alone(self) -> Verifier:
        return self.inner.alone()

    def idle(self, depth: int) -> str:
        return self.inner.idle(depth)

    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        exact, left = self.inner.alone(), self.length - len(context.tokens)
        if left <= 0 or exact == self.inner:
            return self.inner.verify(draft, output, context, random)
        parents = draft.parents
        levels = depths(parents)
        inside = [node for node in range(len(parents)) if levels[node] < left]
        first = _below(exact, -1, inside, draft, output, context, random)
        if len(first.path) < left or first.bonus is None:
            return first
        top = first.path[-1]
        outside = [node for node in range(top + 1, len(parents)) if _leads_to(parents, node, top)]
        committed = [*context.tokens, *draft.tokens_N[list(first.path)].tolist()]
        later = replace(context, tokens=committed, left=context.left - left)
        second = _below(self.inner, top, outside, draft, output, later, random)
        strict = (False,) * left
        return Verdict(
            path=first.path + second.path,
            bonus=second.bonus,
            relaxed=strict + second.relaxed,
            gaps=(0.0,) * left + second.gaps if second.gaps else (),
        )


def _below(
    rule: Verifier,
    root: int,
    nodes: Sequence[int],
    draft: Draft,
    output: Output,
    context: VerifierContext,
    random: RandomSource,
) -> Verdict:
    """What a rule says of these nodes alone, which hang below `root` (-1: the last committed token), as nodes of the
    whole draft."""
    place = {node: index for index, node in enumerate(nodes)} | {root: -1}
    parents = draft.parents
    some = of_nodes(draft, list(nodes), [place[parents[node]] for node in nodes])
    read = output.logits_MW.shape[0]
    rows = [row for row in (root + 1, *(node + 1 for node in nodes)) if row < read]
    seen = Output(
        logits_MW=output.logits_MW[rows],
        evidence={name: rows_M[rows] for name, rows_M in output.evidence.items()},
    )
    verdict = rule.verify(some, seen, replace(context, last_read=len(rows) > len(nodes)), random)
    return replace(verdict, path=tuple(nodes[node] for node in verdict.path))


def _leads_to(parents: Sequence[int], node: int, top: int) -> bool:
    """Whether `node` hangs below `top`."""
    while node > top:
        node = parents[node]
    return node == top
