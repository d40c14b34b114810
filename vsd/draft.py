"""The draft's side of a run: its model, its cache of the sample in hand, and what it knows of the generation so far.

Everything that crosses between the two sides goes through these methods, as token ids and small records, so that the
draft can work on the same thread, on another one, or in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from vsd.drafters.base import Drafter
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.checkpoint import Checkpoint
from vsd.types import Context, Draft, Grid, Prompt, Round, SampleError, Video
from vsd.utils.clock import Clock
from vsd.utils.random_source import RandomSource, SeededRandom

DRAFT_STREAM = 1  # the stream of a sample's randomness that drafts are drawn from; the verifier's is 0


@dataclass(frozen=True, kw_only=True)
class Window:
    """A draft and the seconds that it took."""

    draft: Draft
    seconds: float


class DraftSide:
    """Drafts for one sample at a time: `encode` or `adopt`, `prefill`, then `propose` once a round.

    `model` is None for a drafter that asks none. `clock` begins a clock of its seconds, by default the model's. `nodes`
    is the largest number of nodes behind the last token.
    """

    def __init__(
        self,
        model: VideoLM | None,
        drafter: Drafter,
        *,
        gamma: int,
        max_new_tokens: int,
        positions: str = "original",
        clock: Callable[[], Clock] | None = None,
    ) -> None:
        self._clock = clock or (model.clock if model is not None else Clock)
        self.model = model
        self.drafter = drafter
        self.max_new_tokens = max_new_tokens
        self.positions = positions
        self._memory = drafter.memory()
        self.spare = max_new_tokens + drafter.nodes(gamma) + 1
        self._prompt: Prompt | None = None
        self._state: State | None = None
        self._text_ids: tuple[int, ...] = ()
        self._read: list[int] = []
        self._rounds: list[Round] = []
        self._random: RandomSource = SeededRandom(0)

    def vision_key(self) -> str | None:
        """The model's (see `VideoLM.vision_key`)."""
        return self.model.vision_key if self.model is not None else None

    def encode(self, video: Video, question: str) -> float:
        """Begin a sample: read the video and the question. Returns seconds."""
        return self._begin(lambda model: model.encode(video, question))

    def adopt(self, prompt: Prompt) -> float:
        """Begin a sample with the vision features of the target's prompt, where both models' would be the same. Returns
        seconds."""
        return self._begin(lambda model: model.adopt(prompt))

    def _begin(self, read: Callable[[VideoLM], Prompt]) -> float:
        clock = self._clock()
        self._prompt = self._state = None
        if self.model is not None:
            self._prompt = read(self.model)
        return clock.now() - clock.start

    @torch.inference_mode()
    def prefill(
        self, kept_K: Tensor | None, grid: Grid, text_ids: Sequence[int], random: RandomSource | int
    ) -> tuple[int, float]:
        """Read the prompt with the visual tokens `kept_K` (None: all). Returns how many those are, and seconds.

        `grid` and `text_ids` are the visual grid and the text tokens of the target's prompt, `random` is the draft's,
        or its seed. Raises SampleError if the draft sees the video on another grid, or if prompt and generation do not
        fit the context.
        """
        clock = self._clock()
        self._text_ids, self._read, self._rounds = tuple(text_ids), [], []
        self._random = SeededRandom(random, DRAFT_STREAM) if isinstance(random, int) else random
        if self.model is None or self._prompt is None:
            return 0, 0.0
        prompt = self._prompt
        if prompt.grid != grid:
            raise SampleError(
                "draft: target and draft must see the video on the same grid (t, h, w), "
                f"got {tuple(grid)} and {tuple(prompt.grid)}"
            )
        if kept_K is not None:
            prompt = prompt.keep(kept_K.to(self.model.device))
        if self.positions == "compact":
            prompt = prompt.compact()
        check_context(self.model, prompt, self.max_new_tokens)
        self._prompt = None  # the whole one is not needed any more
        self._state, logits_W, _ = self.model.prefill(prompt, capacity=prompt.length + self.spare)
        self._state.prompt_1W = logits_W[None]
        return len(prompt.visual_V), clock.now() - clock.start

    @torch.inference_mode()
    def propose(
        self, tokens: Sequence[int], rounds: Sequence[Round], gamma: int, visual_mass: float | None = None
    ) -> Window:
        """A draft of at most `gamma` tokens behind `tokens`: the generation so far, with or without drafted tokens that
        the target has not seen yet; none yet while the target prefills. `rounds` are those that ended since the last
        call; `visual_mass` is the context's."""
        clock = self._clock()
        self.tell(rounds)
        if self._state is not None:
            # A token that stands where it was read, behind the same tokens, has its right rows in the cache.
            valid = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._read, tokens, strict=False)))
            self._state.rollback(self._state.prompt + min(self._state.generated, valid, max(len(tokens) - 1, 0)))
        context = Context(
            prompt=self._text_ids, tokens=tokens, rounds=self._rounds, visual_mass=visual_mass, memory=self._memory
        )
        draft = self.drafter.propose(context, self.model, self._state, gamma, self._random)
        self._read = [*tokens, *draft.tokens_N.tolist()]  # of a tree only the tokens before it are in the cache
        return Window(draft=draft, seconds=clock.now() - clock.start)

    def tell(self, rounds: Sequence[Round]) -> None:
        """Rounds that ended since the last call, when nothing is asked for."""
        self._rounds += rounds
        self.drafter.learn(rounds, self._memory)

    def forget(self) -> None:
        """Drop what is held of the sample: its prompt and its cache."""
        self._prompt = self._state = None
        self._read, self._rounds = [], []


def load_side(checkpoint: Checkpoint, drafter: Drafter, **options: Any) -> DraftSide:
    """The same with a model that is loaded, and warmed up, here and now."""
    model = checkpoint.load()
    model.warm_up()
    return DraftSide(model, drafter, **options)


def check_context(model: VideoLM, prompt: Prompt, max_new_tokens: int) -> None:
    """Raise SampleError unless the prompt and the generation fit the model's context."""
    if prompt.length + max_new_tokens > model.context:
        raise SampleError(
            f"max_new_tokens: the prompt ({prompt.length} tokens) and the generation ({max_new_tokens}) must fit "
            f"the context of {model.name}, which is {model.context} tokens "
            f"(its {len(prompt.visual_V)} visual tokens follow frames and, where the family has it, max_pixels)"
        )
