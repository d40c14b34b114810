"""The whole path of one sample: encode, prefill the target, prune, prefill the draft, decode. Read this first."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch

from vsd.draft import DraftSide, check_context, load_side
from vsd.drafters import Chain, Drafter
from vsd.executors.simulated import Live
from vsd.executors.workers import SameThread, Worker
from vsd.metrics.audit import Audit, audit
from vsd.models import Checkpoint, VideoLM, inspect
from vsd.models.scaling import Scaling
from vsd.opening import Opening
from vsd.parallelism import Autoregressive, Generation, Parallelism, Sequential, Session
from vsd.parallelism.base import check_form
from vsd.relevance import Relevance
from vsd.types import Prompt, Round, Trace, Video
from vsd.utils import distributed
from vsd.utils.clock import Clock
from vsd.utils.random_source import SeededRandom
from vsd.verifiers import Greedy, Verifier

if TYPE_CHECKING:
    from vsd.pruners.base import Pruner

_RECENT = 64  # rounds that a schedule of measured lengths looks back on


class Engine:
    """Decodes one video and question at a time. It holds models and methods, and nothing of a sample that has ended.
    `close` it if the schedule has a thread or process of its own."""

    def __init__(
        self,
        *,
        target: VideoLM,
        draft: VideoLM | Checkpoint | None = None,
        pruner: Pruner | None = None,
        drafter: Drafter | None = None,
        verifier: Verifier | None = None,
        parallelism: Parallelism | None = None,
        relevance: Relevance | None = None,
        gamma: int = 5,
        max_new_tokens: int = 128,
        positions: str = "original",
        share_vision: bool = True,
    ) -> None:
        """Missing methods default to a chain drafter, greedy verification and the sequential schedule.

        `draft` may be the target itself (self-speculation on the pruned prompt), or a checkpoint that is loaded where
        it will run. `pruner` drops visual tokens from the draft's prompt only; `positions` says whether its tokens keep
        their positions ("original") or are re-indexed after pruning ("compact"). `relevance` says how visual relevance
        is measured, for methods that need it and for the record. With `share_vision` a draft that would compute the
        very vision features of the target takes those (`vision_shared`). Raises ValueError for a value out of range
        and for a missing draft.
        """
        if gamma < 1:
            raise ValueError(f"gamma: at least one token must be drafted per round, got {gamma}")
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens: at least one token must be generated, got {max_new_tokens}")
        if positions not in ("original", "compact"):
            raise ValueError(f"positions: must be 'original' or 'compact', got {positions!r}")
        self.parallelism = parallelism or Sequential()
        self.drafter = (drafter or Chain()) if self.parallelism.drafts else None
        if self.drafter is not None and self.drafter.needs_model and draft is None:
            raise ValueError(f"draft: {type(self.drafter).__name__} drafts with a model, got none")
        self.target = target
        self.draft = draft if self.drafter is not None and self.drafter.needs_model else None
        if self.draft is not None:
            self.target, self.draft = _same_vocab(target, self.draft)
        self.pruner = pruner
        self._recent: deque[Round] = deque(maxlen=_RECENT)
        self._live = self._simulated() if self.parallelism.simulated else None
        self.worker = self._start_worker(gamma=gamma, max_new_tokens=max_new_tokens, positions=positions)
        self.verifier = verifier or Greedy()
        self.relevance = self._relevance(relevance or Relevance())
        self.gamma = gamma
        self.max_new_tokens = max_new_tokens
        self.positions = positions
        self.share_vision = share_vision

    def _start_worker(self, **options: Any) -> Worker | None:
        """Who drafts: here, or where the schedule wants it."""
        if self.drafter is None:
            return None
        check_form(self.parallelism, self.drafter)
        if isinstance(self.draft, Checkpoint) and self.parallelism.remote:
            self.draft.fetch()  # a download is no part of the worker's start
            return self.parallelism.start_worker(partial(load_side, self.draft, self.drafter, **options))
        if isinstance(self.draft, Checkpoint):
            self.draft = self.draft.load()
        if self.draft is not None and self.parallelism.remote:
            raise ValueError("draft: a process of its own loads its own model, got one that is loaded (Checkpoint)")
        if self.draft is not None and self.draft.model is self.target.model and self.parallelism.concurrent:
            self.draft = self.draft.twin()
        if self._live is None:
            return self.parallelism.start_worker(partial(DraftSide, self.draft, self.drafter, **options))
        side = DraftSide(self.draft, self.drafter, clock=self._live.there.clock, **options)
        return self._live.worker(SameThread(side))

    def _simulated(self) -> Live:
        """Set the models and the pruner to the times that the schedule's profile says."""
        if isinstance(self.draft, Checkpoint):
            self.draft = self.draft.load()
        live = Live(self.parallelism.profile, self.target, self.draft, apart=self.parallelism.at_once)
        self.draft = live.draft(self.draft) if self.draft is not None else None
        self.pruner = live.pruner(self.pruner) if self.pruner is not None else None
        self.target = live.target(self.target)
        return live

    @cached_property
    def vision_shared(self) -> bool:
        """Whether the draft takes the target's vision features: if it may, and its own would be the same. Asked for
        first, this reads all weights of both vision towers, and starts a worker that is a process."""
        if self.draft is None or self.worker is None or not self.share_vision:
            return False
        draft = self.draft
        theirs = self.worker.vision_key().result() if isinstance(draft, Checkpoint) else draft.vision_key
        ours = self.target.vision_key
        return distributed.from_rank0(lambda: ours == theirs)

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

    @torch.inference_mode()
    def run(self, video: Video, question: str, *, seed: int = 0) -> Trace:
        """Decode one sample. `seed` is this sample's only source of randomness.

        Raises SampleError for what is wrong with this sample: no prompt can be made of it, the prompt and
        `max_new_tokens` do not fit the context, target and draft see the video on different grids, or the draft's
        worker was lost; and whatever else that worker raised.
        """
        try:
            return self._run(video, question, seed)
        finally:
            if self.worker is not None:
                self.worker.forget()

    def _run(self, video: Video, question: str, seed: int) -> Trace:
        shared = self.vision_shared  # what is done once a run comes before the clock
        clock = self.target.clock()
        random = SeededRandom(seed)

        with clock.span("encode"):
            prompt = self.target.encode(video, question)
        check_context(self.target, prompt, self.max_new_tokens)
        opening = self._opening(video, question, prompt, seed, clock)
        if opening and self.parallelism.overlap_prefill:
            opening.encode()
        with clock.span("prefill"):
            state, logits_W, evidence = self.target.prefill(
                prompt,
                want=self._wanted(),
                capacity=self.capacity(prompt.length),
                early=opening.early if opening and self.parallelism.early_draft else None,
            )
        session = Session(
            target=self.target,
            state=state,
            worker=self.worker,
            verifier=self.verifier,
            relevance=self.relevance,
            gamma=self.gamma,
            evidence=replace(evidence, seed=seed),
            generation=Generation(limit=self.max_new_tokens, eos=self.target.eos),
            clock=clock,
            random=random,
            recent=self._recent,
            mass=self.target.visual_mass(prompt) if self._wants_mass else None,
        )
        session.begin(logits_W, opening.window(session.evidence) if opening else None)
        clock.mark("first_token")

        kept = opening.finish(session.evidence) if opening else 0
        with clock.span("decode"):
            self.parallelism.decode(session)
        clock.mark("total")
        session.end()
        generation = session.generation
        return Trace(
            tokens=tuple(generation.tokens),
            rounds=tuple(generation.rounds),
            seconds=clock.seconds,
            target_forwards=session.target_forwards,
            visual=prompt.grid.tokens,
            kept=kept or prompt.grid.tokens,
            prompt=prompt.length,
            finish=generation.finish,
            devices=self._devices(),
            simulated=clock.simulated,
            vision_shared=shared if kept else None,
        )

    def audit(self, video: Video, question: str, ours: Sequence[int], baseline: Sequence[int]) -> Audit:
        """Why a generation differs from the target's own: see `vsd.metrics.audit`."""
        return audit(self.target, video, question, ours, baseline)

    def capacity(self, prompt: int) -> int:
        """Rows of the target's cache: the prompt's tokens, the generation, and the largest draft behind its last
        token."""
        nodes = self.drafter.nodes(self.gamma) if self.drafter is not None else 0
        return prompt + self.max_new_tokens + nodes + 1

    def text(self, trace: Trace) -> str:
        """The generation as text."""
        return self.target.decode(trace.tokens)

    def pieces(self, trace: Trace) -> tuple[str, ...]:
        """What each token adds to the text: joined, they are the text. A token that ends inside a character adds
        nothing, the one that completes it adds the whole."""
        found, first, read, last = list[str](), 0, 0, len(trace.tokens)
        # Only the tokens from the last piece on are decoded, and with that piece, since how a tokenizer writes a token
        # can depend on the one before it.
        for count in range(1, last + 1):
            known, text = (self.target.decode(trace.tokens[first:end]) for end in (read, count))
            whole = count == last or not text.endswith("\ufffd")
            found.append(text[len(known) :] if whole else "")
            if found[-1]:
                first, read = read, count
        return tuple(found)

    def _opening(self, video: Video, question: str, prompt: Prompt, seed: int, clock: Clock) -> Opening | None:
        """What the draft has to do for this sample before it can draft; None if nobody drafts."""
        if self.worker is None:
            return None
        adopt, encode = partial(self.worker.adopt, prompt), partial(self.worker.encode, video, question)
        return Opening(
            self.worker,
            self.pruner if self.draft is not None else None,
            clock,
            prompt=prompt,
            seed=seed,
            window=min(self.parallelism.window(self.gamma, self._recent), self.max_new_tokens),
            encode_draft=adopt if self.vision_shared else encode,
        )

    def close(self) -> None:
        """Let the draft's worker go; the engine cannot run any more."""
        if self.worker is not None:
            self.worker.close()

    def _wanted(self) -> frozenset[str]:
        """The evidence of the target's prefill that a method of this run needs."""
        pruner = self.pruner.needs if self.pruner is not None and self.draft is not None else frozenset()
        relevance = {self.relevance.need} if self.relevance is not None else set()
        mass = {"visual_mass"} if self._wants_mass else set()
        return frozenset(pruner) | (self.verifier.needs - {"relevance"}) | relevance | mass

    @property
    def _wants_mass(self) -> bool:
        return self.drafter is not None and "visual_mass" in self.drafter.needs

    def _relevance(self, relevance: Relevance) -> Relevance | None:
        needs = self.verifier.needs | (self.drafter.needs if self.drafter is not None else frozenset())
        return relevance if relevance.always or "relevance" in needs else None

    def _devices(self) -> int:
        """How many devices a run holds, those of other ranks too. A CPU, which both sides share, counts once for each
        that works at the time."""
        names = set(self.target.device_names)
        if self.draft is not None:
            apart = self.parallelism.at_once
            names |= {f"{name}, draft" if apart and name == "cpu" else name for name in self.draft.device_names}
        return len(names) * (1 if self.target.clock().simulated else distributed.count())


def _same_vocab(target: VideoLM, draft: VideoLM | Checkpoint) -> tuple[VideoLM, VideoLM | Checkpoint]:
    """Both models with the smaller of their vocabularies; what lies beyond it is padding."""
    if isinstance(draft, Checkpoint):
        vocab = min(target.vocab, inspect(draft.path, field=draft.field).vocab)
        return target.narrow(vocab), replace(draft, vocab=vocab)
    if target.vocab == draft.vocab:
        return target, draft
    vocab = min(target.vocab, draft.vocab)
    return target.narrow(vocab), draft.narrow(vocab)
