"""Draft and target at the same time: PEARL's, HIPPO's and ParallelVLM's schedules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import ClassVar, Literal, get_args

from vsd.draft import DraftSession, Window
from vsd.executors import Executor, Pending, Process
from vsd.models.tree import NO_DRAFT, joined, part
from vsd.parallelism.base import Parallelism
from vsd.session import Session
from vsd.types import Draft, Round
from vsd.utils.validation import require, require_one_of

Length = Literal["fixed", "measured"]


@dataclass(frozen=True, kw_only=True)
class Parallel(Parallelism):
    """While the target verifies a window, the draft writes the next one, as if all of it will be accepted.

    With nothing to verify, at the start and behind a rejection, the target makes its next token meanwhile and tests the
    first drafted one with it (`pre_verify`); with a window to verify it tests that and the first token of the next one
    (`post_verify`). A window that stands as a whole brings no token of the target's own; a rejection throws away what
    was drafted behind it. Without one of the two, the other side waits instead; without both this is the sequential
    schedule. `length` "measured" drafts as many tokens as the draft makes while the target verifies, by the last
    rounds, at most gamma. `overlap_prefill` lets the draft see the video while the target prefills; with `early_draft`
    it also prunes, prefills and drafts its first window meanwhile, as soon as the pruner's evidence is there: from the
    start if the pruner looks at no layer of the target, after a layer if it looks at hidden states up to that one, and
    not at all if it wants what is complete at the end only. The first token of such a window is tested with the
    prefill's own logits.

    By default PEARL's, arXiv 2408.11850: a generation ends only with verified tokens and exactly at its budget, any
    acceptance rule may judge, and each side draws from a random stream of its own. HIPPO (arXiv 2601.08273) and
    ParallelVLM (arXiv 2603.19610) are other settings of it (conf/parallelism).
    """

    chains: ClassVar[bool] = True
    overlaps: ClassVar[bool] = True

    pre_verify: bool = True
    post_verify: bool = True
    overlap_prefill: bool = False
    early_draft: bool = False
    length: Length = "fixed"

    def __post_init__(self) -> None:
        for name in ("pre_verify", "post_verify", "overlap_prefill", "early_draft"):
            value = getattr(self, name)
            require(f"parallelism.{name}", "true or false", value, isinstance(value, bool))
        require_one_of("parallelism.length", self.length, get_args(Length))

    @property
    def timed(self) -> bool:
        return self.length == "measured"

    @classmethod
    def default_executor(cls) -> Executor:
        return Process()

    def window(self, gamma: int, recent: Iterable[Round]) -> int:
        timed = [round_ for round_ in recent if round_.proposed] if self.timed else []
        if not timed:
            return gamma
        token_s = median(round_.draft_s / round_.proposed for round_ in timed)
        if not token_s:  # on a virtual clock a look-up takes no time
            return gamma
        return max(1, min(gamma, round(median(round_.verify_s for round_ in timed) / token_s)))

    def prefill(self, session: Session, draft: DraftSession | None) -> None:
        assert draft is not None
        if self.overlap_prefill:
            draft.encode()
        early = None
        with session.clock.span("prefill"):
            if self.early_draft and (evidence := session.early_evidence(draft.needs)):
                draft.prefill(evidence)
                early = self._start(session, draft, NO_DRAFT, session.generation.left)
            logits_W = session.prefill()
        if early is None:
            session.begin(session.first(logits_W, NO_DRAFT))
        else:
            draft.ready(session.evidence)
            session.pending = session.test_first(logits_W, early.result())
        session.clock.mark("first_token")
        draft.ready(session.evidence)

    def decode(self, session: Session, draft: DraftSession | None) -> None:
        assert draft is not None
        pending = session.pending
        while not session.generation.finish:
            pending = self._round(session, draft, pending)
            session.recent.extend(session.generation.rounds[-1:])

    def _round(self, session: Session, draft: DraftSession, pending: Draft) -> Draft:
        """One round. `pending` was drafted behind the tokens and not verified; returns what is so afterwards."""
        generation, now = session.generation, session.clock.now
        start = now()
        windows = list[Window]()
        if not len(pending.tokens_N) and not self.pre_verify:  # the target waits for a window
            windows += _done(self._start(session, draft, NO_DRAFT, generation.left - 1))
            pending = windows[0].draft if windows else NO_DRAFT
        waited = now() - start
        count, ahead = len(pending.tokens_N), None
        if (self.post_verify if count else self.pre_verify) and generation.left - count > 1:
            ahead = self._start(session, draft, pending, generation.left - count)
        reading = now()
        output = session.read(pending)
        read = now()
        windows += _done(ahead)
        new = windows[-1].draft if ahead else NO_DRAFT
        judging = now()
        tested = joined(pending, part(new, 0, 1))
        judged = session.judge_and_commit(tested, output)
        end = now()
        session.add(
            tested,
            judged,
            proposed=sum(len(window.draft.tokens_N) for window in windows),
            ahead=len(new.tokens_N),
            draft_s=sum(window.seconds for window in windows),
            verify_s=read - reading + end - judging,
            wait_s=waited + judging - read,
            wall_s=end - start,
        )
        return part(new, 1, None) if judged.verdict.bonus is None else NO_DRAFT

    def _start(self, session: Session, draft: DraftSession, pending: Draft, most: int) -> Pending[Window] | None:
        """Have a window of at most `most` tokens drafted behind the tokens and a chain that is `pending` behind
        them."""
        gamma = min(self.window(session.gamma, session.recent), most)
        if gamma < 1:
            return None
        tokens = [*session.generation.tokens, *pending.tokens]
        return draft.start(tokens=tokens, gamma=gamma, **session.take_news())


def _done(job: Pending[Window] | None) -> list[Window]:
    return [job.result()] if job else []


PEARL = Parallel()
HIPPO = Parallel(overlap_prefill=True)
PARALLELVLM = Parallel(overlap_prefill=True, early_draft=True, length="measured")
"""As conf/parallelism has them."""
