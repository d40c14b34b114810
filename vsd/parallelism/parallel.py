"""Draft and target at the same time: the body of PEARL's, HIPPO's and ParallelVLM's schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from statistics import median
from typing import ClassVar

import torch

from vsd.draft import DraftSide, Window
from vsd.executors.process import OtherProcess
from vsd.executors.workers import OtherThread, SameThread, Worker
from vsd.parallelism.base import Parallelism, Session, check_executor
from vsd.parallelism.chains import NO_DRAFT, joined, part
from vsd.types import Draft, Round
from vsd.utils.validation import is_number, require, require_one_of, require_whole

EXECUTORS = ("inline", "thread", "process")
LENGTHS = ("fixed", "measured")


@dataclass(frozen=True, kw_only=True)
class Parallel(Parallelism):
    """While the target verifies a window, the draft writes the next one, as if all of it will be accepted.

    With nothing to verify, at the start and behind a rejection, the target makes its next token meanwhile and tests the
    first drafted one with it (`pre_verify`); with a window to verify it tests that and the first token of the next one
    (`post_verify`). A window that stands as a whole brings no token of the target's own; a rejection throws away what
    was drafted behind it. Without one of the two, the other side waits instead; without both this is the sequential
    schedule. `length` "measured" drafts as many tokens as the draft makes while the target verifies, by the last
    rounds, at most gamma. `overlap_prefill` lets the draft read the video while the target prefills; with `early_draft`
    it also prunes, prefills and drafts its first window meanwhile, as soon as the pruner's evidence is there: from the
    start if the pruner looks at no layer of the target, after a layer if it looks at hidden states up to that one, and
    not at all if it wants attention, which is complete at the end only. The first token of such a window is tested with
    the prefill's own logits. `executor` says where drafts are made: "inline" (one thread, no gain), "thread" (another
    one, and on a GPU another stream) or "process" (a worker of its own, with its own Python; it computes with `threads`
    threads, 0 for as many as this process, and has `timeout_s` seconds for an answer), or "simulated": on one thread,
    while the clock shows what two devices would take by `profile` (see `vsd.executors.simulated`).
    """

    chains: ClassVar[bool] = True

    executor: str = "process"
    profile: str = ""
    pre_verify: bool = True
    post_verify: bool = True
    overlap_prefill: bool = False
    early_draft: bool = False
    length: str = "fixed"
    timeout_s: float = 60.0
    threads: int = 0

    def __post_init__(self) -> None:
        check_executor(self.executor, self.profile, EXECUTORS)
        holds = is_number(self.timeout_s) and self.timeout_s > 0
        require("parallelism.timeout_s", "a number above 0", self.timeout_s, holds)
        require_whole("parallelism.threads", self.threads, least=0)
        for name in ("pre_verify", "post_verify", "overlap_prefill", "early_draft"):
            value = getattr(self, name)
            require(f"parallelism.{name}", "true or false", value, isinstance(value, bool))
        require_one_of("parallelism.length", self.length, LENGTHS)

    @property
    def at_once(self) -> bool:
        return self.executor != "inline"

    @property
    def concurrent(self) -> bool:
        return self.executor == "thread" or self.early_draft

    @property
    def timed(self) -> bool:
        return self.length == "measured"

    @property
    def remote(self) -> bool:
        return self.executor == "process"

    def start_worker(self, build: Callable[[], DraftSide]) -> Worker:
        if self.executor == "process":
            threads = self.threads or torch.get_num_threads()
            return OtherProcess(build, timeout_s=self.timeout_s, threads=threads)
        return OtherThread(build()) if self.executor == "thread" else SameThread(build())

    def window(self, gamma: int, recent: Iterable[Round]) -> int:
        if self.length == "fixed":
            return gamma
        timed = [each for each in recent if each.proposed]
        if not timed:
            return gamma
        token_s = median(each.draft_s / each.proposed for each in timed)
        return max(1, min(gamma, round(median(each.verify_s for each in timed) / token_s)))

    def decode(self, session: Session) -> None:
        pending = session.pending
        while not session.generation.finish:
            pending = self._round(session, pending)
            session.recent.extend(session.generation.rounds[-1:])

    def _round(self, session: Session, pending: Draft) -> Draft:
        """One round. `pending` was drafted behind the generation and not verified; returns what is so afterwards."""
        start = session.clock.now()
        windows = list[Window]()
        if not len(pending.tokens_N) and not self.pre_verify:  # the target waits for a window
            windows += _done(
                session.ask(NO_DRAFT, min(self.window(session.gamma, session.recent), session.generation.left - 1))
            )
            pending = windows[0].draft if windows else NO_DRAFT
        waited = session.clock.now() - start
        count = len(pending.tokens_N)
        ahead = None
        if (self.post_verify if count else self.pre_verify) and session.generation.left - count > 1:
            ahead = session.ask(
                pending, min(self.window(session.gamma, session.recent), session.generation.left - count)
            )
        reading = session.clock.now()
        output = session.read(pending)
        read = session.clock.now()
        windows += _done(ahead)
        new = windows[-1].draft if ahead else NO_DRAFT
        judging = session.clock.now()
        tested = joined(pending, part(new, 0, 1))
        judged = session.judge(tested, output)
        now = session.clock.now()
        session.add(
            tested,
            judged,
            proposed=sum(len(window.draft.tokens_N) for window in windows),
            ahead=len(new.tokens_N),
            draft_s=sum(window.seconds for window in windows),
            verify_s=read - reading + now - judging,
            wait_s=waited + judging - read,
            wall_s=now - start,
        )
        return part(new, 1, None) if judged.verdict.bonus is None else NO_DRAFT


def _done(job: Future[Window] | None) -> list[Window]:
    return [job.result()] if job else []
