"""Drafts and what a target says of them, made up for verifiers to judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from vsd.models.tree import chain
from vsd.testing.drafts import TREE
from vsd.testing.evidence import made_evidence, made_rows
from vsd.types import Draft, Evidence, Output, Round, Verdict, VerifierContext
from vsd.utils.random_source import SeededRandom
from vsd.verifiers import Verifier
from vsd.verifiers.base import check_final

FORMS = (*(chain(count) for count in (0, 1, 2, 3, 5, 9)), TREE, (-1, -1, -1), (-1, -1, 1, 1, 3))
WIDTH = 5
"""Entries of the vocabulary of made logits."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a rule is shown."""

    draft: Draft
    output: Output
    context: VerifierContext

    def judged(self, rule: Verifier, *, seed: int = 0) -> Verdict:
        """The rule's verdict, which is one: a path of the draft, and a bonus token where the target has read on."""
        verdict, name = rule.verify(self.draft, self.output, self.context, SeededRandom(seed)), type(rule).__name__
        before = -1
        for node in verdict.path:
            follows = node in range(len(self.draft.parents)) and self.draft.parents[node] == before
            assert follows, (
                f"{name}: its path must lead from the root down through the draft's parents "
                f"{self.draft.parents}, got {verdict.path}"
            )
            before = node
        check_final(verdict, self.output, rule)
        assert verdict.bonus is None or verdict.bonus in range(WIDTH), (
            f"{name}: its bonus token must lie in [0, {WIDTH}), got {verdict.bonus}"
        )
        return verdict

    def differs(self, verdict: Verdict) -> tuple[bool, ...]:
        """Of each token that stands, whether it is another than the target's own."""
        own = self.output.logits_MW.argmax(-1).tolist()
        rows = [self.draft.parents[node] + 1 for node in verdict.path]
        return tuple(self.draft.tokens[node] != own[row] for node, row in zip(verdict.path, rows, strict=True))


@cache
def prompt_evidence(needs: frozenset[str]) -> Evidence:
    return made_evidence(needs)


def cases(rule: Verifier, *, count: int = 4, dtype: torch.dtype = torch.float64) -> Iterator[Case]:
    """Drafts of every form, half of whose tokens are the target's own, behind none and some tokens, with the last node
    read or not."""
    generator = torch.Generator().manual_seed(0)
    for seed in range(count):
        for parents in FORMS:
            logits_MW = 2 * torch.randn(len(parents) + 1, WIDTH, generator=generator, dtype=torch.float64)
            own = logits_MW.argmax(-1).tolist()
            guess = torch.randint(WIDTH, (len(parents),), generator=generator).tolist()
            right = torch.rand(len(parents), generator=generator).tolist()
            tokens = [own[parent + 1] if right[node] < 0.5 else guess[node] for node, parent in enumerate(parents)]
            draft = Draft(
                tokens_N=torch.tensor(tokens, dtype=torch.long),
                parents_N=torch.tensor(parents, dtype=torch.long),
                confidence_N=torch.rand(len(parents), generator=generator) if rule.needs_confidence else None,
            )
            for unread in {0, int(bool(parents))}:
                rows = len(parents) + 1 - unread
                evidence = made_rows(rule.needs, rows, seed=seed)
                yield Case(
                    draft=draft,
                    output=Output(logits_MW=logits_MW[:rows].to(dtype), evidence=evidence),
                    context=context_of(rule, seed, evidence, last_read=not unread),
                )


def context_of(rule: Verifier, seed: int, rows: Mapping[str, Tensor], *, last_read: bool = True) -> VerifierContext:
    """Behind nothing, and behind ten tokens of two rounds with the last of them near the budget."""
    numbers = {name: tuple(each.tolist())[:1] * 5 for name, each in rows.items() if each.ndim == 1}
    before = Round(drafted=5, nodes=5, accepted=4, committed=5, rejected=True, evidence=numbers)
    return VerifierContext(
        evidence=prompt_evidence(rule.needs),
        tokens=list(range(10)) if seed % 2 else [],
        rounds=[before] * 2 if seed % 2 else [],
        left=2 if seed % 4 == 3 else 99,
        last_read=last_read,
    )
