"""What a schedule is: it decides when the draft drafts and when the target verifies, and writes the answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch

from vsd.chance import Chance
from vsd.clock import Clock
from vsd.drafters.base import Drafter
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.tree import depths
from vsd.relevance import Relevance
from vsd.types import Context, Draft, Evidence, Round, Verdict
from vsd.verifiers.base import Verifier

NO_DRAFT = Draft(tokens_N=torch.empty(0, dtype=torch.long), parents_N=torch.empty(0, dtype=torch.long))


@dataclass
class Answer:
    """The tokens committed so far, and the record of the rounds that committed them.

    An answer ends with the first end-of-sequence token, which is kept, or after exactly `limit` tokens. `finish` is
    empty while it goes on, then "eos" or "length".
    """

    limit: int
    eos: frozenset[int]
    tokens: list[int] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    finish: str = ""

    @property
    def left(self) -> int:
        """How many more tokens may be committed."""
        return self.limit - len(self.tokens)

    def append(self, tokens: list[int]) -> int:
        """Commit as many of `tokens` as still belong to the answer; returns how many."""
        before = len(self.tokens)
        for token in tokens[: self.left]:
            self.tokens.append(token)
            if token in self.eos:
                self.finish = "eos"
                break
        if not self.finish and not self.left:
            self.finish = "length"
        return len(self.tokens) - before

    def add(self, draft: Draft, verdict: Verdict, *, draft_s: float = 0.0, verify_s: float = 0.0) -> None:
        """Commit a round: the accepted nodes, then the target's own token; and record it."""
        tokens, parents = draft.tokens_N.tolist(), draft.parents_N.tolist()
        committed = self.append([*(tokens[node] for node in verdict.path), verdict.bonus])
        accepted = min(len(verdict.path), committed)
        last = verdict.path[-1] if verdict.path else -1
        relaxed = tuple(place for place, loose in enumerate(verdict.relaxed[:accepted]) if loose)
        self.rounds.append(
            Round(
                drafted=max(depths(parents), default=-1) + 1,
                nodes=len(parents),
                accepted=accepted,
                committed=committed,
                # Behind the end of the answer nothing is refused, and a leaf has no child that could have been.
                rejected=committed > len(verdict.path) and last in parents,
                relaxed=relaxed,
                gaps=tuple(verdict.gaps[place] for place in relaxed if place < len(verdict.gaps)),
                relevance=verdict.relevance[:committed],
                draft_s=draft_s,
                verify_s=verify_s,
            )
        )


@dataclass(kw_only=True)
class Session:
    """One sample between its prefills and its last token: all that a schedule works with.

    `prompt` are the prompt's text tokens; `relevance` is set if the visual relevance of tokens is wanted.

    `target_state` and `draft_state` hold the prompts, and the answer its first token, taken from the target's
    prefill. The last token of the answer is in no cache yet: it is the root of the next verification.
    """

    target: VideoLM
    target_state: State
    draft: VideoLM | None
    draft_state: State | None
    drafter: Drafter | None
    verifier: Verifier
    relevance: Relevance | None
    prompt: tuple[int, ...]
    gamma: int
    evidence: Evidence
    answer: Answer
    clock: Clock
    chance: Chance
    target_forwards: int = 0

    def __post_init__(self) -> None:
        self._meter = self.relevance.meter(self.evidence) if self.relevance else None

    def propose(self) -> Draft:
        """Ask the drafter for as many tokens as can still be committed beside the target's own."""
        gamma = min(self.gamma, self.answer.left - 1)
        if self.drafter is None or gamma < 1:
            return NO_DRAFT
        context = Context(prompt=self.prompt, tokens=self.answer.tokens, rounds=self.answer.rounds)
        return self.drafter.propose(context, self.draft, self.draft_state, gamma, self.chance)

    def verify(self, draft: Draft) -> Verdict:
        """One target pass over the last committed token and the draft; keeps the accepted rows of its cache."""
        root_M = torch.tensor(self.answer.tokens[-1:], device=self.target.device)
        ids_M = torch.cat((root_M, draft.tokens_N.to(self.target.device)))
        parents = (-1, *(parent + 1 for parent in draft.parents_N.tolist()))
        layer = self.relevance.layer if self.relevance else None
        output = self.target.forward(ids_M, parents, self.target_state, layer=layer)
        self.target_forwards += 1
        if self._meter is not None and output.hidden_MD is not None:
            output = replace(output, relevance_M=self._meter(output.hidden_MD))
        verdict = self.verifier.verify(draft, output, self.evidence, self.chance)
        if output.relevance_M is not None:
            before = (0, *(node + 1 for node in verdict.path))  # the states that the committed tokens followed from
            verdict = replace(verdict, relevance=tuple(output.relevance_M[list(before)].tolist()))
        self.target_state.commit((0, *(node + 1 for node in verdict.path)))
        return verdict

    def forget(self, context: int, accepted: int) -> None:
        """Roll the draft back to `context` tokens of the answer and the `accepted` draft tokens behind them."""
        state = self.draft_state
        if state is not None:
            state.rollback(min(state.length, state.prompt + context + accepted))


class Parallelism(ABC):
    """A schedule. Subclasses are frozen dataclasses: their fields are their config."""

    drafts: ClassVar[bool] = True
    """Whether the schedule uses a drafter at all."""

    @abstractmethod
    def decode(self, session: Session) -> None:
        """Write `session.answer` to its end."""
