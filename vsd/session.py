"""The target's side of one generation: it reads the prompt and the drafts, judges them, and commits what stands."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vsd.draft import Window
from vsd.evidence import Collector
from vsd.generation import Generation
from vsd.models.base import VideoLM
from vsd.models.tree import NO_DRAFT, part
from vsd.types import Draft, Evidence, Output, Prompt, Round, Verdict, VerifierContext
from vsd.utils import distributed
from vsd.utils.clock import Clock
from vsd.utils.random_source import RandomSource
from vsd.verifiers.base import Verifier, check_final


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the rule said of a draft, and the evidence of the pass: a row for each token that it lets stand, the bonus
    included, of the state which predicted it."""

    verdict: Verdict
    evidence: Mapping[str, Tensor] = field(default_factory=dict)


class Session:
    """One sample between its encoding and its last token.

    The last token generated is in no cache yet: it is the root of the next verification. `collector` collects evidence,
    whose numbers are recorded; `capacity` is the number of the target's cache rows; `gamma` is the most tokens of a
    draft, and `recent` are the last rounds of a parallel schedule's decoding, those of earlier samples too (none under
    other schedules). `pending` is a chain that was drafted behind the tokens and is not verified. `handed` names the
    evidence of which a drafter gets a row for each token.
    """

    def __init__(
        self,
        *,
        target: VideoLM,
        prompt: Prompt,
        collector: Collector,
        verifier: Verifier,
        generation: Generation,
        clock: Clock,
        random: RandomSource,
        capacity: int,
        gamma: int,
        recent: deque[Round],
        handed: frozenset[str] = frozenset(),
    ) -> None:
        self.generation, self.clock, self.gamma, self.recent = generation, clock, gamma, recent
        self.pending, self.forwards = NO_DRAFT, 0
        self._handed, self._device = sorted(handed), target.device
        self._target, self._collector, self._verifier, self._random = target, collector, verifier, random
        self._prefill = target.start_prefill(prompt, collector=collector, capacity=capacity)
        self._state = self._prefill.state
        self._evidence: Evidence | None = None
        self._judged_rows = list[Mapping[str, Tensor]]()  # of the tokens generated, not yet handed over
        self._sent = 0

    # The prefill -----------------------------------------------------------------------------------------------------

    def early_evidence(self, needs: frozenset[str]) -> Evidence | None:
        """Read the prompt as far as this evidence needs, and hand it out; None where it is there at the end only."""
        stage = self._collector.stage(needs)
        if not self._prefill.until(stage):
            return None
        return self._collector.evidence(needs)

    def prefill(self) -> Tensor:
        """Read the prompt to its end; returns the logits_W of the first token."""
        logits_W = self._prefill.finish()
        self._evidence = self._collector.evidence()
        return logits_W

    @property
    def evidence(self) -> Evidence:
        """What the prefill has shown."""
        assert self._evidence is not None, "the prompt is not read"
        return self._evidence

    # Rounds ----------------------------------------------------------------------------------------------------------

    def first(self, logits_W: Tensor, draft: Draft) -> Judged:
        """Judge a draft of at most one token by the prefill's logits."""
        return self._judged(draft, Output(logits_MW=logits_W[None], evidence=self._collector.rows()))

    def verify(self, draft: Draft) -> Judged:
        """One pass of the target over the last token and the draft; keeps the accepted rows of its cache."""
        return self.judge_and_commit(draft, self.read(draft))

    def read(self, draft: Draft) -> Output:
        """The target's pass over the last token and the draft's nodes."""
        ids_M = torch.tensor(self.generation.tokens[-1:], device=self._device)
        if draft.parents:
            ids_M = torch.cat((ids_M, draft.tokens_N.to(self._device)))
        parents = (-1, *(parent + 1 for parent in draft.parents))
        self.forwards += 1
        return self._target.forward(ids_M, parents, self._state, collector=self._collector)

    def judge_and_commit(self, draft: Draft, output: Output) -> Judged:
        """What the rule says of a draft; keeps the accepted rows of the target's cache."""
        judged = self._judged(draft, output)
        read = output.logits_MW.shape[0]
        self._state.commit([0, *(node + 1 for node in judged.verdict.path if node + 1 < read)])
        return judged

    def _judged(self, draft: Draft, output: Output) -> Judged:
        context = VerifierContext(
            evidence=self.evidence,
            tokens=self.generation.tokens,
            rounds=self.generation.rounds,
            left=self.generation.left,
            last_read=output.logits_MW.shape[0] > len(draft.parents),
        )
        rule = self._verifier
        verdict = distributed.from_rank0(lambda: rule.verify(draft, output, context, self._random))
        check_final(verdict, output, rule)
        before = [0, *(node + 1 for node in verdict.path)]  # the rows that the tokens followed from
        before = before[: len(verdict.path) + (verdict.bonus is not None)]
        return Judged(verdict=verdict, evidence={name: rows[before] for name, rows in output.evidence.items()})

    def add(self, draft: Draft, judged: Judged, **counts: Any) -> None:
        """Commit what stands of a draft, and record the round (see `Generation.add`)."""
        numbers = {name: tuple(rows.tolist()) for name, rows in judged.evidence.items() if rows.ndim == 1}
        committed = self.generation.add(draft, judged.verdict, evidence=numbers, **counts)
        self._keep(judged, committed)

    def test_first(self, logits_W: Tensor, window: Window) -> Draft:
        """Commit the first token of a window that was drafted during the prefill, if it stands, or else the target's
        own; a round. Returns what of the window is not verified."""
        tested, count = part(window.draft, 0, 1), len(window.draft.tokens_N)
        judged = self.first(logits_W, tested)
        self.add(tested, judged, proposed=count, ahead=count, draft_s=window.seconds)
        return part(window.draft, 1, None) if judged.verdict.bonus is None else NO_DRAFT

    def begin(self, judged: Judged) -> None:
        """Commit the target's own first token, which is of no round."""
        bonus = judged.verdict.bonus
        assert bonus is not None, "the prefill has a token of its own where nothing was drafted"
        self._keep(judged, self.generation.append([bonus]))

    def _keep(self, judged: Judged, committed: int) -> None:
        if self._handed:
            self._judged_rows.append({name: judged.evidence[name][:committed] for name in self._handed})

    def take_news(self) -> dict[str, Any]:
        """What a drafter does not know yet, handed out once: rounds, and the evidence of the tokens generated since."""
        rounds, self._sent = self.generation.rounds[self._sent :], len(self.generation.rounds)
        rows, self._judged_rows = self._judged_rows, []
        evidence = {name: torch.cat([row[name] for row in rows]) for name in (rows[0] if rows else ())}
        return {"rounds": rounds, "evidence": evidence}
