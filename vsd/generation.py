"""What has been generated of one sample, and how: its tokens and its rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vsd.models.tree import depths
from vsd.types import Draft, Finish, Round, Verdict


@dataclass
class Generation:
    """The tokens committed so far, and the record of the rounds that committed them.

    It ends with the first end-of-sequence token, which is kept, or after exactly `limit` tokens. `finish` is empty
    while it goes on, then "eos" or "length".
    """

    limit: int
    eos: frozenset[int]
    tokens: list[int] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    finish: Finish | Literal[""] = ""

    @property
    def left(self) -> int:
        """How many more tokens may be committed."""
        return self.limit - len(self.tokens)

    def append(self, tokens: list[int]) -> int:
        """Commit as many of `tokens` as still belong to it; returns how many."""
        before = len(self.tokens)
        for token in tokens[: self.left]:
            self.tokens.append(token)
            if token in self.eos:
                self.finish = "eos"
                break
        if not self.finish and not self.left:
            self.finish = "length"
        return len(self.tokens) - before

    def add(
        self,
        draft: Draft,
        verdict: Verdict,
        *,
        evidence: Mapping[str, tuple[float, ...]] | None = None,
        proposed: int = 0,
        ahead: int = 0,
        **seconds: float,
    ) -> int:
        """Commit a round: the accepted nodes, then the target's own token if there is one; and record it. Returns how
        many tokens were committed.

        `evidence` has a number for each of these tokens. The draft's last token is the first of those drafted `ahead`;
        the others are lost unless all of it stands and the generation goes on. `seconds` are a round's.
        """
        tokens, parents = draft.tokens, draft.parents
        bonus = [] if verdict.bonus is None else [verdict.bonus]
        committed = self.append([*(tokens[node] for node in verdict.path), *bonus])
        accepted = min(len(verdict.path), committed)
        last = verdict.path[-1] if verdict.path else -1
        relaxed = tuple(place for place, loose in enumerate(verdict.relaxed[:accepted]) if loose)
        self.rounds.append(
            Round(
                drafted=max(depths(parents), default=-1) + 1,
                nodes=len(parents),
                accepted=accepted,
                committed=committed,
                # Behind the end nothing is refused, and a leaf has no child that could have been.
                rejected=committed > len(verdict.path) and last in parents,
                relaxed=relaxed,
                gaps=tuple(verdict.gaps[place] for place in relaxed if place < len(verdict.gaps)),
                evidence={name: values[:committed] for name, values in (evidence or {}).items()},
                proposed=proposed,
                ahead=ahead,
                wasted=len(parents) - accepted + (max(ahead - 1, 0) if bonus or self.finish else 0),
                **seconds,
            )
        )
        return committed
