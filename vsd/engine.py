"""The whole path of one sample: encode, prefill the target, prune, prefill the draft, decode. Read this first."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from operator import eq
from typing import Any, get_args

import torch

from vsd.draft import DraftRunner, DraftSession, check_context
from vsd.drafters import Chain, Drafter
from vsd.evidence import Collector, Reading, in_decoding
from vsd.evidence.relevance import Relevance
from vsd.executors import Executor, Sides
from vsd.executors.base import Request, loaded
from vsd.executors.broadcast import BroadcastClient
from vsd.generation import Generation
from vsd.metrics.audit import Audit, audit
from vsd.models import Checkpoint, VideoLM
from vsd.models.pair import one_vocabulary
from vsd.models.scaling import Scaling
from vsd.models.text import pieces
from vsd.parallelism import Autoregressive, Parallelism, Sequential
from vsd.parallelism.base import check_drafter
from vsd.pruners.base import Pruner
from vsd.session import Session
from vsd.types import Positions, Prompt, Round, Shared, Trace, Video
from vsd.utils import distributed
from vsd.utils.clock import Clock
from vsd.utils.random_source import SeededRandom
from vsd.utils.validation import require_one_of, require_whole
from vsd.verifiers import Greedy, Verifier

log = logging.getLogger(__name__)

_ATTEMPTS = 4  # to decode a sample without compiling anything: a parallel schedule may need other passes each time
_RECENT = 64  # rounds that a schedule of measured lengths looks back on


class Engine:
    """Decodes one video and question at a time. It holds models and methods, and nothing of a sample that has ended.
    `close` it if its executor has a thread or process of its own."""

    def __init__(
        self,
        *,
        target: VideoLM | Checkpoint,
        draft: VideoLM | Checkpoint | None = None,
        pruner: Pruner | None = None,
        drafter: Drafter | None = None,
        verifier: Verifier | None = None,
        parallelism: Parallelism | None = None,
        executor: Executor | None = None,
        relevance: Relevance | None = None,
        gamma: int = 5,
        max_new_tokens: int = 128,
        positions: Positions = "original",
        share_vision: bool = True,
    ) -> None:
        """Missing methods default to a chain drafter, greedy verification, the sequential schedule, and the executor
        that the schedule names.

        `draft` may be the target itself (self-speculation on the pruned prompt), or a checkpoint that is loaded where
        it will run: with `executor=Process()`, the default of parallel schedules, it must be one. A target that is a
        checkpoint too is loaded while that process loads the draft. `gamma` is the most tokens of a draft,
        `max_new_tokens` of a generation. `pruner` drops visual tokens from the draft's prompt only; `positions` says
        whether its tokens keep their positions ("original") or are re-indexed after pruning ("compact"). `relevance`
        says how visual relevance is measured, for methods that need it and for the record. With `share_vision` a draft
        takes from the target what it would compute itself (`shared`). Raises ValueError for a value out of range and
        for a missing draft.
        """
        require_whole("gamma", gamma, least=1)
        require_whole("max_new_tokens", max_new_tokens, least=1)
        require_one_of("positions", positions, get_args(Positions))
        self.parallelism = parallelism or Sequential()
        self.executor = executor or self.parallelism.default_executor()
        self.verifier = verifier or Greedy()
        self.relevance = relevance or Relevance()
        self.gamma, self.max_new_tokens, self.share_vision = gamma, max_new_tokens, share_vision
        self.drafter = (drafter or Chain()) if self.parallelism.drafts else None
        make = None
        if self.drafter is not None:
            check_drafter(self.drafter, self.parallelism, self.verifier)
            if self.drafter.needs_model:
                if draft is None:
                    raise ValueError(f"draft: {type(self.drafter).__name__} drafts with a model, got none")
                target, draft = one_vocabulary(target, draft)
            make = partial(
                DraftRunner,
                drafter=self.drafter,
                gamma=gamma,
                max_new_tokens=max_new_tokens,
                positions=positions,
                with_confidence=self.verifier.needs_confidence,
            )
        if self.drafter is None or not self.drafter.needs_model:
            draft = pruner = None  # nobody reads a prompt
        client = self.executor.begin(draft, make) if make is not None else None
        try:
            sides = Sides(target=loaded(target), draft=draft, pruner=pruner, client=client)
            sides = self.executor.connect(sides, make, overlaps=self.parallelism.overlaps)
        except BaseException:
            if client is not None:
                client.close()
            raise
        self.target, self.draft, self.pruner, self.client = sides.target, sides.draft, sides.pruner, sides.client
        if self.client is not None and distributed.count() > 1:
            self.client = BroadcastClient(self.client)
        self._recent: deque[Round] = deque(maxlen=_RECENT)

    @torch.inference_mode()
    def run(self, video: Video, question: str, *, seed: int = 0) -> Trace:
        """Decode the generation for one question. `seed` is this sample's only source of randomness.

        Raises SampleError for what is wrong with this sample: no prompt can be made of it, the prompt and
        `max_new_tokens` do not fit the context, target and draft see the video on different grids, or the draft's
        worker was lost; and whatever else that worker raised.
        """
        try:
            return self._without_compiling(video, question, seed)
        finally:
            if self.client is not None:
                self.client.forget()

    def _without_compiling(self, video: Video, question: str, seed: int) -> Trace:
        """The sample without the time that compiling takes: where a pass had to be compiled on the way, it is decoded
        again, from what was known before it."""
        if self.client is not None:
            self.client.ready()  # what is done once a run, or for a lost worker, comes before the clock
        recent = [*self._recent]
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._recent.clear()
                self._recent.extend(recent)
                if self.client is not None:  # asked with a method of the runner, which is called over there
                    self.client.ask(partial(DraftRunner.unlearn))
            before = self._compiled()
            trace = self._run(video, question, seed)
            after = self._compiled()
            if distributed.from_rank0(partial(eq, before, after)):  # all processes go on, or none
                return trace
        log.warning("something was compiled in each of %d attempts at a sample: its seconds hold some of it", _ATTEMPTS)
        return trace

    def _compiled(self) -> int:
        """How many passes of both models were compiled so far."""
        if self.target.compile == "none" and (self.draft is None or self.draft.compile == "none"):
            return 0
        drafts = self.client.ask(partial(DraftRunner.compiled)) if self.client is not None else 0
        return drafts + (self.target.steps.compiled if self.target.steps is not None else 0)

    def _run(self, video: Video, question: str, seed: int) -> Trace:
        shared, clock = self.shared, self.target.clock()
        with clock.span("encode"):
            pixels = self._pixels(video, question)
            prompt = self.target.encode(video, question, **pixels, **self._encode_options)
        check_context(self.target, prompt, self.max_new_tokens)
        session = self._session(video, prompt, clock, seed)
        see = self._see(video, question, prompt, pixels)
        draft = self._draft_session(see, prompt, clock)
        del pixels, see  # they take memory until the draft has seen the video, and no longer

        self.parallelism.prefill(session, draft)
        with clock.span("decode"):
            self.parallelism.decode(session, draft)
        clock.mark("total")

        if draft is not None:
            draft.learn(session.take_news()["rounds"])
        generation, kept = session.generation, draft.kept if draft is not None else 0
        assert generation.finish
        return Trace(
            tokens=tuple(generation.tokens),
            rounds=tuple(generation.rounds),
            seconds=clock.seconds,
            target_forwards=session.forwards,
            visual=prompt.grid.tokens,
            kept=kept or prompt.grid.tokens,
            prompt=prompt.length,
            finish=generation.finish,
            devices=self._devices(simulated=clock.simulated),
            simulated=clock.simulated,
            shared=shared if kept else None,
            grid=prompt.grid,
            kept_K=draft.kept_K if draft is not None and kept else (),
        )

    def _pixels(self, video: Video, question: str) -> dict[str, Any]:
        """What the target's processor makes of them, as an option of both sides' `encode`, if the draft takes it."""
        return {"pixels": self.target.process(video, question)} if self.shared == "pixels" else {}

    def _see(self, video: Video, question: str, prompt: Prompt, pixels: Mapping[str, Any]) -> Request[float]:
        """How the draft begins a sample."""
        if self.shared == "features":
            return partial(DraftRunner.adopt, prompt=prompt)
        return partial(DraftRunner.encode, video=video, question=question, **pixels)

    def _session(self, video: Video, prompt: Prompt, clock: Clock, seed: int) -> Session:
        """The target's side of a sample."""
        reading = Reading(
            prompt=prompt,
            depth=self.target.depth,
            ranks=self.target.ranks,
            video=video,
            frames_per_step=self.target.frames_per_step,
        )
        needs, in_passes = self._needs
        return Session(
            target=self.target,
            prompt=prompt,
            collector=Collector(needs, reading, in_passes=in_passes, seed=seed),
            verifier=self.verifier,
            generation=Generation(limit=self.max_new_tokens, eos=self.target.eos),
            clock=clock,
            random=SeededRandom(seed),
            capacity=self.capacity(prompt.length),
            gamma=self.gamma,
            recent=self._recent,
            handed=self._handed,
        )

    def _draft_session(self, see: Request[float], prompt: Prompt, clock: Clock) -> DraftSession | None:
        """The draft's side of a sample; None if nobody drafts."""
        if self.client is None:
            return None
        return DraftSession(self.client, self.pruner, clock, see=see, prompt=prompt)

    @cached_property
    def _needs(self) -> tuple[Mapping[str, str], frozenset[str]]:
        """The evidence that this run's methods need, by the names that they use, and what of it in every pass."""
        in_passes = {need for need in self.verifier.needs if in_decoding(need)} | self._handed
        in_passes |= {"relevance"} if self.relevance.always else set()
        pruner = self.pruner.needs if self.pruner is not None else frozenset()
        names = self.verifier.needs | pruner | in_passes
        return {name: self.relevance.need if name == "relevance" else name for name in names}, frozenset(in_passes)

    @property
    def _handed(self) -> frozenset[str]:
        """The evidence of which the drafter gets rows."""
        return self.drafter.needs if self.drafter is not None else frozenset()

    @property
    def _encode_options(self) -> dict[str, Any]:
        return {"vision_attention": True} if "vision_attention" in self._needs[0] else {}

    @cached_property
    def shared(self) -> Shared:
        """What the draft takes from the target, if it may, since its own would be the same: the vision features, or
        else the pixels, unless these would have to cross to another process or times are simulated. Asked for first,
        this reads all weights of both vision towers."""
        if self.draft is None or self.client is None or not self.share_vision:
            return "nothing"
        if self._same(self.target.vision_key, DraftRunner.vision_key):
            return "features"
        apart = self.executor.remote or self.executor.simulated
        alike = not apart and self._same(self.target.pixels_key, DraftRunner.pixels_key)
        return "pixels" if alike else "nothing"

    def _same(self, ours: str, theirs: Callable[[DraftRunner], str | None]) -> bool:
        """Whether the draft's key is the target's."""
        assert self.client is not None
        asked = self.client.ask(partial(theirs))
        return distributed.from_rank0(lambda: ours == asked)

    def capacity(self, prompt: int) -> int:
        """Rows of the target's cache: the prompt's tokens, the generated ones, and the largest draft behind the
        last."""
        nodes = self.drafter.nodes(self.gamma) if self.drafter is not None else 0
        return prompt + self.max_new_tokens + nodes + 1

    def scaling(self) -> Scaling:
        """How the frames of a video may be scaled while they are decoded, so that its models see what they would."""
        drafts = [] if self.draft is None else [self.draft]
        return Scaling(viewers=[model.viewer for model in (self.target, *drafts)])

    def baseline(self) -> Engine:
        """The same target decoding alone: what a speed-up is measured against."""
        return Engine(
            target=self.target,
            verifier=self.verifier.alone(),
            parallelism=Autoregressive(),
            max_new_tokens=self.max_new_tokens,
        )

    def audit(self, video: Video, question: str, ours: Sequence[int], baseline: Sequence[int]) -> Audit:
        """Why the tokens are not the target's own: see `vsd.metrics.audit`."""
        return audit(self.target, video, question, ours, baseline)

    def text(self, trace: Trace) -> str:
        """The generated tokens as text."""
        return self.target.decode(trace.tokens)

    def pieces(self, trace: Trace) -> tuple[str, ...]:
        """What each token adds to the text (see `vsd.models.text`)."""
        return pieces(self.target.decode, trace.tokens)

    def close(self) -> None:
        """Let the draft's worker go; the engine cannot run any more."""
        if self.client is not None:
            self.client.close()

    def _devices(self, *, simulated: bool) -> int:
        """How many devices a run holds, those of other ranks too. A CPU, which both sides share, counts once for each
        that works at the time."""
        names = set(self.target.device_names)
        if self.draft is not None:
            apart = self.parallelism.overlaps and self.executor.concurrent
            names |= {f"{name}, draft" if apart and name == "cpu" else name for name in self.draft.device_names}
        return len(names) * (1 if simulated else distributed.count())
