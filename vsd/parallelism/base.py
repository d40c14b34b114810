"""What a schedule is: it decides when the draft drafts and when the target verifies, and writes the generation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from vsd.draft import DraftSide, Window
from vsd.drafters.base import Drafter
from vsd.executors.broadcast import broadcast
from vsd.executors.workers import SameThread, Worker
from vsd.models.attention import VisualMass
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.tree import depths
from vsd.parallelism.chains import NO_DRAFT, part
from vsd.relevance import Relevance
from vsd.types import Draft, Evidence, Output, Round, Verdict, VerifierContext
from vsd.utils import distributed
from vsd.utils.clock import Clock
from vsd.utils.random_source import RandomSource
from vsd.utils.validation import require, require_one_of
from vsd.verifiers.base import Verifier, check_final

SIMULATED = "simulated"


@dataclass
class Generation:
    """The tokens committed so far, and the record of the rounds that committed them.

    A generation ends with the first end-of-sequence token, which is kept, or after exactly `limit` tokens. `finish` is
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
        """Commit as many of `tokens` as still belong to the generation; returns how many."""
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
        relevance: tuple[float, ...] = (),
        visual_mass: float | None = None,
        proposed: int = 0,
        ahead: int = 0,
        draft_s: float = 0.0,
        verify_s: float = 0.0,
        wait_s: float = 0.0,
        wall_s: float = 0.0,
    ) -> None:
        """Commit a round: the accepted nodes, then the target's own token if there is one; and record it.

        The draft's last token is the first of those drafted `ahead`; the others are lost unless all of it stands and
        the generation goes on.
        """
        tokens, parents = draft.tokens_N.tolist(), draft.parents_N.tolist()
        own = [] if verdict.bonus is None else [verdict.bonus]
        committed = self.append([*(tokens[node] for node in verdict.path), *own])
        accepted = min(len(verdict.path), committed)
        last = verdict.path[-1] if verdict.path else -1
        relaxed = tuple(place for place, loose in enumerate(verdict.relaxed[:accepted]) if loose)
        self.rounds.append(
            Round(
                drafted=max(depths(parents), default=-1) + 1,
                nodes=len(parents),
                accepted=accepted,
                committed=committed,
                # Behind the end of the generation nothing is refused, and a leaf has no child that could have been.
                rejected=committed > len(verdict.path) and last in parents,
                relaxed=relaxed,
                gaps=tuple(verdict.gaps[place] for place in relaxed if place < len(verdict.gaps)),
                relevance=relevance[:committed],
                visual_mass=visual_mass,
                proposed=proposed,
                ahead=ahead,
                wasted=len(parents) - accepted + (max(ahead - 1, 0) if own or self.finish else 0),
                draft_s=draft_s,
                verify_s=verify_s,
                wait_s=wait_s,
                wall_s=wall_s,
            )
        )


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the rule said of a draft, and what was measured of the tokens that it lets stand.

    `relevance`: how much each depends on the video, the target's own included; `visual_mass`: the target's attention on
    the visual tokens at the last position that is verified.
    """

    verdict: Verdict
    relevance: tuple[float, ...] = ()
    visual_mass: float | None = None


@dataclass(kw_only=True)
class Session:
    """One sample between its prefills and its last token: all that a schedule works with.

    `worker` drafts (None: nobody does); `relevance` is set if the visual relevance of tokens is wanted, `mass` if the
    target's attention on the visual tokens is.

    `state` holds the target's prompt. `begin` commits the first token, which comes from the prefill; from then on the
    last token of the generation is in no cache yet: it is the root of the next verification. `pending` is a chain that
    was drafted behind the generation during the prefill, and not verified. `recent` are the last rounds of the run,
    those of earlier samples too, for a schedule that follows the clock.
    """

    target: VideoLM
    state: State
    worker: Worker | None
    verifier: Verifier
    relevance: Relevance | None
    gamma: int
    evidence: Evidence
    generation: Generation
    clock: Clock
    random: RandomSource
    mass: VisualMass | None = None
    recent: deque[Round] = field(default_factory=deque)
    target_forwards: int = 0
    pending: Draft = NO_DRAFT

    def __post_init__(self) -> None:
        self._visual_mass = self.evidence.visual_mass  # at the last position that the target has verified
        self._meter = self.relevance.meter(self.evidence) if self.relevance else None
        self._told = 0

    def begin(self, logits_W: Tensor, window: Window | None = None) -> None:
        """Commit the first token, by the logits of the prefill: the first one of a window that was drafted meanwhile,
        if it stands, or else the target's own."""
        relevance_M = None
        if self._meter is not None and self.relevance is not None:
            relevance_M = self._meter(self.evidence.hidden[self.relevance.layer].text_SD[-1:])
        draft = window.draft if window else NO_DRAFT
        tested = part(draft, 0, 1)
        judged = self._judged(tested, Output(logits_MW=logits_W[None], relevance_M=relevance_M))
        bonus = judged.verdict.bonus
        if window is None:
            assert bonus is not None  # without a draft there always is a token of the target's own
            self.generation.append([bonus])
            return
        count = len(draft.tokens_N)
        judged = replace(judged, visual_mass=self._visual_mass)
        self.add(tested, judged, proposed=count, ahead=count, draft_s=window.seconds)
        self.pending = part(draft, 1, None) if bonus is None else NO_DRAFT

    def propose(self) -> Draft:
        """As many drafted tokens as can still be committed beside the target's own."""
        job = self.ask(NO_DRAFT, min(self.gamma, self.generation.left - 1))
        return job.result().draft if job else NO_DRAFT

    def ask(self, pending: Draft, gamma: int) -> Future[Window] | None:
        """Have at most `gamma` tokens drafted behind the generation and a chain that is `pending` behind it; None if
        nobody drafts."""
        if self.worker is None or gamma < 1:
            return None
        tokens = [*self.generation.tokens, *pending.tokens_N.tolist()]
        return broadcast(self.worker.propose(tokens, self._untold(), gamma, self._visual_mass))

    def end(self) -> None:
        """Tell the draft of the last rounds."""
        if self.worker is not None:
            self.worker.tell(self._untold())

    def _untold(self) -> list[Round]:
        rounds, self._told = self.generation.rounds[self._told :], len(self.generation.rounds)
        return rounds

    def verify(self, draft: Draft) -> Judged:
        """One target pass over the last committed token and the draft; keeps the accepted rows of its cache."""
        return self.judge(draft, self.read(draft))

    def add(self, draft: Draft, judged: Judged, **counts: Any) -> None:
        """Commit what stands of a draft, and record the round (see `Generation.add`)."""
        self.generation.add(draft, judged.verdict, relevance=judged.relevance, visual_mass=judged.visual_mass, **counts)

    def read(self, draft: Draft) -> Output:
        """The target's pass over the last committed token and the draft's nodes."""
        root_M = torch.tensor(self.generation.tokens[-1:], device=self.target.device)
        ids_M = torch.cat((root_M, draft.tokens_N.to(self.target.device)))
        parents = (-1, *(parent + 1 for parent in draft.parents_N.tolist()))
        layer = self.relevance.layer if self.relevance else None
        output = self.target.forward(ids_M, parents, self.state, layer=layer, mass=self.mass)
        self.target_forwards += 1
        if self._meter is not None and output.hidden_MD is not None:
            output = replace(output, relevance_M=self._meter(output.hidden_MD))
        return output

    def judge(self, draft: Draft, output: Output) -> Judged:
        """What the rule says of a draft; keeps the accepted rows of the target's cache."""
        judged = self._judged(draft, output)
        rows = [0, *(node + 1 for node in judged.verdict.path if node + 1 < output.logits_MW.shape[0])]
        if self.mass is not None:  # before the rows that it looks at are moved
            found = self.mass.at(rows[-1])
            self._visual_mass = distributed.from_rank0(lambda: found)
            judged = replace(judged, visual_mass=self._visual_mass)
        self.state.commit(rows)
        return judged

    def _judged(self, draft: Draft, output: Output) -> Judged:
        """What the rule says of a draft, by the target's output over what it has read of it."""
        context = VerifierContext(
            evidence=self.evidence,
            tokens=self.generation.tokens,
            rounds=self.generation.rounds,
            left=self.generation.left,
            last_read=output.logits_MW.shape[0] > len(draft.tokens_N),
        )
        verdict = distributed.from_rank0(lambda: self.verifier.verify(draft, output, context, self.random))
        check_final(verdict, output, self.verifier)
        if output.relevance_M is None:
            return Judged(verdict=verdict)
        before = [0, *(node + 1 for node in verdict.path)]  # the states that the committed tokens followed from
        before = before[: len(verdict.path) + (verdict.bonus is not None)]
        return Judged(verdict=verdict, relevance=tuple(output.relevance_M[before].tolist()))


class Parallelism(ABC):
    """A schedule. Subclasses are frozen dataclasses: their fields are their config."""

    drafts: ClassVar[bool] = True
    """Whether the schedule uses a drafter at all."""
    chains: ClassVar[bool] = False
    """Whether drafts must be chains."""
    overlap_prefill: bool = False
    """Whether the draft reads the video while the target prefills."""
    executor: str = "inline"
    """Where the draft's work is done; "simulated": here, in the time that `profile` says."""
    profile: str = ""
    """Step times of a simulated run: a file, or devices (see `vsd.executors.simulated.read`)."""
    early_draft: bool = False
    """Whether it also drafts its first window meanwhile, as soon as the pruner's evidence is there."""

    @property
    def simulated(self) -> bool:
        """Whether the times of a run are those of `profile`."""
        return self.executor == SIMULATED

    @property
    def at_once(self) -> bool:
        """Whether both sides work at the same time, so that a run holds both their devices."""
        return False

    @property
    def concurrent(self) -> bool:
        """Whether both models may run at the same moment, so that they cannot be one object."""
        return False

    @property
    def timed(self) -> bool:
        """Whether how much is drafted follows the clock."""
        return False

    @property
    def remote(self) -> bool:
        """Whether the draft's model is loaded by a process of its own."""
        return False

    def start_worker(self, build: Callable[[], DraftSide]) -> Worker:
        """Who does the draft's work, on a side that is built where the work is done."""
        return SameThread(build())

    def window(self, gamma: int, recent: Iterable[Round]) -> int:
        """How many tokens to draft next, at most `gamma`, at least 1; `recent` are the last rounds of the run."""
        return gamma

    @abstractmethod
    def decode(self, session: Session) -> None:
        """Write `session.generation` to its end."""


@dataclass(frozen=True, kw_only=True)
class InTurn(Parallelism):
    """A schedule whose sides never work at once: on this thread, or in simulated time."""

    executor: str = "inline"
    profile: str = ""

    def __post_init__(self) -> None:
        check_executor(self.executor, self.profile, ("inline",))


def check_executor(executor: str, profile: str, executors: tuple[str, ...]) -> None:
    """Raise ValueError for an executor that is none of these nor "simulated", or for step times that cannot be read or
    would not be used."""
    require_one_of("parallelism.executor", executor, (*executors, SIMULATED))
    if executor == SIMULATED:
        from vsd.executors import simulated  # it knows the workers, which this module knows too

        simulated.read(profile)
    else:
        require("parallelism.profile", f"empty unless executor is {SIMULATED}", profile, profile == "")


def check_ranks(parallelism: Parallelism, drafter: Drafter, *, target: bool, draft: bool) -> None:
    """Raise ValueError for what the processes of torchrun cannot do together; `target` and `draft`: which of the two
    models they share.

    A draft that they share is run by all of them in step, so nothing may begin at a moment of its own.
    """
    if distributed.count() < 2:
        return
    if not target:
        raise ValueError(f"target.tp_plan: must be auto under torchrun ({distributed.count()} processes), got None")
    if parallelism.remote:
        raise ValueError("parallelism.executor: must be inline or thread under torchrun, got 'process'")
    if draft and (parallelism.concurrent or parallelism.timed or drafter.timed):
        raise ValueError(
            "draft.tp_plan: must be null with a draft on a thread of its own or of a measured length, got 'auto'"
        )


def check_form(parallelism: Parallelism, drafter: Drafter) -> None:
    """Raise ValueError for a schedule of chains with a drafter of trees."""
    if parallelism.chains and not drafter.chains:
        raise ValueError(f"drafter: {type(parallelism).__name__} needs chains, got {type(drafter).__name__}")
