"""The draft's side of one generation: it sees the video, is told what to keep of the prompt, reads that, and proposes.

`DraftRunner` computes, wherever an executor lets it. `DraftSession` is what the engine and its schedule hold of it for
one sample; all that crosses between the two are token ids, rounds and small tensors, and once a sample the video,
or what the target has made of it.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vsd.drafters.base import Drafter
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.checkpoint import Checkpoint
from vsd.models.tree import NO_DRAFT
from vsd.pruners.select import budget
from vsd.types import Context, Draft, Evidence, Grid, MethodError, Positions, Prompt, Round, SampleError, Video
from vsd.utils import distributed
from vsd.utils.clock import Clock
from vsd.utils.random_source import RandomSource, SeededRandom
from vsd.utils.validation import shortened

if TYPE_CHECKING:
    from transformers import BatchFeature

    from vsd.executors.base import DraftClient, Pending, Request
    from vsd.pruners.base import Pruner

STREAM = 1  # of a sample's randomness: drafts are drawn from it; the verifier's is 0


@dataclass(frozen=True, kw_only=True)
class Window:
    """A draft and the seconds that it took."""

    draft: Draft
    seconds: float


class DraftRunner:
    """Drafts for one sample at a time: `encode` or `adopt`, `prefill`, then `propose` once a round.

    `model` is None for a drafter that asks none. `clock` begins a clock of its seconds, by default the model's;
    `with_confidence`: whether a rule looks at how sure its drafts are.
    """

    def __init__(
        self,
        model: VideoLM | None,
        drafter: Drafter,
        *,
        gamma: int,
        max_new_tokens: int,
        positions: Positions = "original",
        with_confidence: bool = False,
        clock: Callable[[], Clock] | None = None,
    ) -> None:
        self.model, self.drafter = model, drafter
        self._clock = clock or (model.clock if model is not None else Clock)
        self._max_new_tokens, self._positions = max_new_tokens, positions
        self._with_confidence = with_confidence
        self._spare = max_new_tokens + drafter.nodes(gamma) + 1  # cache rows behind the prompt
        self._memory = self._known = drafter.memory()
        self._random: RandomSource = SeededRandom(0)
        self._prompt: Prompt | None = None
        self._state: State | None = None
        self._text_ids: tuple[int, ...] = ()
        self._read, self._drafted, self._rounds = list[int](), NO_DRAFT, list[Round]()
        self._evidence = dict[str, list[Tensor]]()

    def vision_key(self) -> str | None:
        """The model's (see `VideoLM.vision_key`)."""
        return self.model.vision_key if self.model is not None else None

    def pixels_key(self) -> str | None:
        """The model's (see `VideoLM.pixels_key`)."""
        return self.model.pixels_key if self.model is not None else None

    def compiled(self) -> int:
        """How many passes of the model were compiled so far."""
        return self.model.steps.compiled if self.model is not None and self.model.steps is not None else 0

    def encode(self, video: Video, question: str, pixels: BatchFeature | None = None) -> float:
        """Begin a sample: see the video and read the question. `pixels` is what the target's processor has made of
        both, where the draft's would make the same. Returns seconds."""
        known: dict[str, Any] = {} if pixels is None else {"pixels": pixels}  # simulated models have no processor
        return self._begin(lambda model: model.encode(video, question, **known))

    def adopt(self, prompt: Prompt) -> float:
        """Begin a sample with the vision features of the target's prompt, where both models' would be the same. Returns
        seconds."""
        return self._begin(lambda model: model.adopt(prompt))

    def _begin(self, encode: Callable[[VideoLM], Prompt]) -> float:
        clock = self._clock()
        self.forget()
        self._known = copy.deepcopy(self._memory)
        if self.model is not None:
            self._prompt = encode(self.model)
        return clock.now() - clock.start

    @torch.inference_mode()
    def prefill(
        self, kept_K: Tensor | None, grid: Grid, text_ids: Sequence[int], random: RandomSource | int
    ) -> tuple[int, float]:
        """Read the prompt with the visual tokens `kept_K` (None: all). Returns how many those are, and seconds.

        `grid` and `text_ids` are the visual grid and the text tokens of the target's prompt; `random` is the source of
        the draft's randomness, or its seed. Raises SampleError if the draft sees the video on another grid, or if
        prompt and generation do not fit the context.
        """
        clock = self._clock()
        self._text_ids = tuple(text_ids)
        self._random = SeededRandom(random, STREAM) if isinstance(random, int) else random
        if self.model is None or self._prompt is None:
            return 0, 0.0
        prompt, self._prompt = self._prompt, None  # the whole one is not needed any more
        if prompt.grid != grid:
            raise SampleError(
                "draft: target and draft must see the video on the same grid (t, h, w), "
                f"got {tuple(grid)} and {tuple(prompt.grid)}"
            )
        if kept_K is not None:
            prompt = prompt.keep(kept_K.to(self.model.device))
        if self._positions == "compact":
            prompt = prompt.compact()
        check_context(self.model, prompt, self._max_new_tokens)
        self._state, logits_W = self.model.prefill(prompt, capacity=prompt.length + self._spare)
        self._state.prompt_1W = logits_W[None]
        return len(prompt.visual_V), clock.now() - clock.start

    @torch.inference_mode()
    def propose(
        self, tokens: Sequence[int], rounds: Sequence[Round], gamma: int, evidence: Mapping[str, Tensor] | None = None
    ) -> Window:
        """A draft of at most `gamma` tokens behind `tokens`: those generated so far, with or without drafted ones that
        the target has not verified yet; none yet while the target prefills. `rounds` ended since the last call, and
        `evidence` are the rows that were added since then to the context's."""
        clock = self._clock()
        self.learn(rounds)
        for name, rows in (evidence or {}).items():
            self._evidence.setdefault(name, []).append(rows)
        if self._state is not None:
            # A token that stands where it was read, behind the same tokens, has its right rows in the cache. (Of a tree
            # only the tokens before it are there.)
            read = [*self._read, *self._drafted.tokens]
            valid = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(read, tokens, strict=False)))
            self._state.rollback(self._state.prompt + min(self._state.generated, valid, max(len(tokens) - 1, 0)))
        context = Context(
            prompt=self._text_ids,
            tokens=tokens,
            rounds=self._rounds,
            evidence={name: torch.cat(rows) for name, rows in self._evidence.items()},
            memory=self._memory,
            with_confidence=self._with_confidence,
        )
        draft = self.drafter.propose(context, self.model, self._state, gamma, self._random)
        self._read, self._drafted = [*tokens], draft  # whose tokens may not have come from the device yet
        return Window(draft=draft, seconds=clock.now() - clock.start)

    def learn(self, rounds: Sequence[Round]) -> None:
        """Take in rounds that ended since the last call."""
        self._rounds += rounds
        self.drafter.learn(rounds, self._memory)

    def unlearn(self) -> None:
        """Forget what the drafter has learnt of the sample that was begun last."""
        self._memory = self._known

    def forget(self) -> None:
        """Drop what is held of the sample: its prompt, its cache, its evidence."""
        self._prompt = self._state = None
        self._text_ids, self._read, self._drafted, self._rounds, self._evidence = (), [], NO_DRAFT, [], {}


class DraftSession:
    """One sample's draft, as its schedule sees it: `encode`, `prefill`, `ready`, in this order and each as early as the
    schedule wants it, then `propose` or `start`.

    `pruner` is None if the draft's prompt is not pruned; `see` has the runner begin the sample; `prompt` is the
    target's.
    """

    def __init__(
        self,
        client: DraftClient,
        pruner: Pruner | None,
        clock: Clock,
        *,
        see: Request[float],
        prompt: Prompt,
    ) -> None:
        self._client, self._pruner, self._clock, self._prompt = client, pruner, clock, prompt
        self._see: Request[float] | None = see
        self._encoding: Pending[float] | None = None
        self._prefilling: Pending[tuple[int, float]] | None = None
        self.kept = 0
        self.kept_K: tuple[int, ...] = ()

    @property
    def needs(self) -> frozenset[str]:
        """The evidence that its prefill waits for."""
        return frozenset(self._pruner.needs) if self._pruner else frozenset()

    def encode(self) -> Pending[float]:
        """Begin to see the video, unless that has begun."""
        if self._encoding is None:
            see, self._see = self._see, None  # it holds the pixels
            assert see is not None
            self._encoding = self._client.start(see)
        return self._encoding

    def prefill(self, evidence: Evidence) -> Pending[tuple[int, float]]:
        """Choose what to keep and begin to read that, unless that has begun."""
        self.encode()
        if self._prefilling is None:
            kept_K = None
            if self._pruner is not None:
                with self._clock.span("prune"):
                    kept_K = distributed.from_rank0(partial(self._pruner.keep, evidence))
                kept = checked(self._pruner, kept_K, self._prompt.grid)
                self.kept_K = kept if len(kept) < self._prompt.grid.tokens else ()
            read = partial(
                DraftRunner.prefill,
                kept_K=kept_K,
                grid=self._prompt.grid,
                text_ids=self._prompt.text_ids,
                random=evidence.seed,
            )
            self._prefilling = self._client.start(read)
        return self._prefilling

    def ready(self, evidence: Evidence) -> None:
        """Wait until the prompt is read, and note the seconds; `kept` is then the number of its visual tokens, 0 if
        there is no model that reads, and `kept_K` which they are (none named: all)."""
        prefilling = self.prefill(evidence)
        encode_s = self.encode().result()
        self.kept, prefill_s = prefilling.result()
        if self.kept:
            self._clock.seconds |= {"draft_encode": encode_s, "draft_prefill": prefill_s}

    def propose(self, **request: Any) -> Window:
        """A draft, waited for (see `DraftRunner.propose`)."""
        return self._client.ask(partial(DraftRunner.propose, **request))

    def start(self, **request: Any) -> Pending[Window]:
        """A draft that is waited for later."""
        return self._client.start(partial(DraftRunner.propose, **request))

    def learn(self, rounds: Sequence[Round]) -> None:
        """Tell it of the last rounds; nobody waits for it."""
        self._client.start(partial(DraftRunner.learn, rounds=rounds))


def checked(pruner: Pruner, kept_K: Tensor, grid: Grid) -> tuple[int, ...]:
    """What a pruner keeps, as numbers. Raises MethodError unless it is what `Pruner.keep` promises."""
    kept, most = tuple(kept_K.tolist()), budget(grid.tokens, pruner.ratio)
    in_order = all(one < other for one, other in itertools.pairwise(kept))
    inside = bool(kept) and kept[0] >= 0 and kept[-1] < grid.tokens and kept_K.dtype == torch.int64
    if not in_order or not inside or len(kept) > most:
        rule = f"1 to {most} places below {grid.tokens}, int64, sorted and each once (ratio={pruner.ratio:g})"
        raise MethodError(f"pruner: {type(pruner).__name__}.keep must give {rule}, got {shortened(list(kept))}")
    return kept


def load_runner(checkpoint: Checkpoint, make: Callable[[VideoLM], DraftRunner]) -> DraftRunner:
    """A runner whose model is loaded, and warmed up, here and now."""
    model = checkpoint.load()
    model.warm_up()
    return make(model)


def check_context(model: VideoLM, prompt: Prompt, max_new_tokens: int) -> None:
    """Raise SampleError unless the prompt and the generation fit the model's context."""
    if prompt.length + max_new_tokens > model.context:
        raise SampleError(
            f"max_new_tokens: the prompt ({prompt.length} tokens) and the generation ({max_new_tokens}) must fit "
            f"the context of {model.name}, which is {model.context} tokens "
            f"(its {len(prompt.visual_V)} visual tokens follow frames and, where the family has it, max_pixels)"
        )
