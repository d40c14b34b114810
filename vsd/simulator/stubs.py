"""Models that are not there: they read, write and take as long as they are told, and the engine cannot tell.

Tokens are numbers: every generation of the target is ``RIGHT RIGHT RIGHT ...``, and the draft writes ``WRONG`` where
the script says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from vsd.drafters.base import Drafter, require_model
from vsd.drafters.tree import form
from vsd.evidence import Collector
from vsd.models.base import VideoLM
from vsd.models.cache import State
from vsd.models.steps import Compile
from vsd.models.tree import chain, children, depths
from vsd.pruners.uniform import Uniform
from vsd.simulator.acceptance import Script
from vsd.step_times.times import Times
from vsd.step_times.virtual_clock import VirtualClock
from vsd.types import Context, Draft, Evidence, Grid, Output, Prompt, Video
from vsd.utils.clock import Clock
from vsd.utils.random_source import RandomSource

RIGHT, WRONG, END = range(3)


class Rows:
    """A cache without contents: see `vsd.models.cache.State`."""

    def __init__(self, prompt: int) -> None:
        self.prompt = self.length = prompt
        self.prompt_1W: Tensor | None = None

    @property
    def generated(self) -> int:
        return self.length - self.prompt

    def commit(self, path: Sequence[int]) -> None:
        self.length += len(path)

    def rollback(self, length: int) -> None:
        self.length = length


@dataclass(frozen=True, kw_only=True)
class StubModel:
    """What both models have in common."""

    script: Script
    times: Times
    time: VirtualClock
    name: str = "simulated"
    device: torch.device = field(default=torch.device("cpu"))
    device_names: frozenset[str] = frozenset()
    depth: int = 1
    ranks: int = 1
    eos: frozenset[int] = frozenset({END})
    vocab: int = 3
    context: int = 1 << 40
    compile: ClassVar[Compile] = "none"
    frames_per_step: ClassVar[int] = 1
    steps: ClassVar[None] = None

    @property
    def model(self) -> StubModel:
        return self

    def clock(self) -> Clock:
        return self.time.clock()

    def prompt(self) -> Prompt:
        """A video, and behind it the text."""
        length = self.script.visual + self.script.text
        return Prompt(
            ids_T=torch.zeros(length, dtype=torch.long),
            embeds_TD=torch.empty(length, 0),
            positions_PT=torch.arange(length)[None],
            visual_V=torch.arange(self.script.visual),
            grid=Grid(self.script.visual, 1, 1),
            suffix=self.script.visual,
            next_position=length,
        )


@dataclass(frozen=True, kw_only=True)
class StubTarget(StubModel):
    """Says the script's tokens. `early` is the share of its prefill after which the pruner's evidence is there."""

    early: float = 0.5
    probs_LW: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tokens_L = torch.full((2 * self.script.limit + 1,), RIGHT)  # drafts may go on behind the end
        if self.script.end is not None:
            tokens_L[self.script.end - 1] = END
        object.__setattr__(self, "probs_LW", torch.nn.functional.one_hot(tokens_L, self.vocab).float())

    def encode(self, video: Video, question: str) -> Prompt:
        self.time.begin()
        self.time.spend(self.times.encode_s(self.script.visual))
        return self.prompt()

    def start_prefill(self, prompt: Prompt, *, collector: Collector, capacity: int) -> StubPrefill:
        return StubPrefill(self, prompt)

    def forward(self, ids_M: Tensor, parents_M: Sequence[int], state: Rows, *, collector: Collector) -> Output:
        count, place = len(parents_M), state.generated + 1  # of the token behind the root
        self.time.begin()
        self.time.spend(self.times.verify_s(count, state.length))
        if parents_M == chain(count):
            return Output(logits_MW=self.probs_LW[place : place + count])
        return Output(logits_MW=self.probs_LW[place + torch.tensor(depths(parents_M))])


class StubPrefill:
    """A prefill that takes its time: see `vsd.models.prefill.Prefill`."""

    def __init__(self, target: StubTarget, prompt: Prompt) -> None:
        self.state = Rows(prompt.length)
        self._target, self._left_s = target, target.times.prefill_s(prompt.length)

    def until(self, layer: int) -> bool:
        passed = self._left_s * self._target.early
        self._target.time.spend(passed)
        self._left_s -= passed
        return True

    def finish(self) -> Tensor:
        self._target.time.spend(self._left_s)
        return self._target.probs_LW[0]


@dataclass(frozen=True, kw_only=True)
class StubDraft(StubModel):
    """The draft's model. What it writes, `StubDrafter` knows."""

    def encode(self, video: Video, question: str) -> Prompt:
        self.time.spend(self.times.draft_encode_s(self.script.visual))
        return self.prompt()

    def prefill(self, prompt: Prompt, *, capacity: int) -> tuple[Rows, Tensor]:
        self.time.spend(self.times.draft_prefill_s(prompt.length))
        return Rows(prompt.length), torch.empty(self.vocab)

    def read(self, nodes: int, state: State) -> None:
        """Take the time of a pass over so many nodes."""
        self.time.spend(self.times.draft_s(nodes, state.length))


@dataclass(frozen=True, kw_only=True)
class StubDrafter(Drafter):
    """Chains, or with `paths` trees of that form (see `vsd.drafters.tree`), with the tokens of a script.

    Of a tree the likeliest child is right where any is.
    """

    script: Script
    paths: str = ""

    @property
    def chains(self) -> bool:
        return not self.paths

    def nodes(self, gamma: int) -> int:
        return len(form(self.paths, gamma).parents) if self.paths else gamma

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        stub, state = require_model(model, state)
        assert isinstance(stub, StubDraft)
        stub.time.spend(stub.times.window_s)
        place = len(context.tokens)
        late = place - state.generated
        if late:  # before there is a first token, the prompt's own logits say what follows
            stub.read(late, state)
            state.commit(range(late))
        if self.paths:
            return self._tree(stub, state, place, gamma)
        for _ in range(gamma - 1):
            stub.read(1, state)
            state.commit((0,))
        tokens = [self._token(place + depth, depth) for depth in range(gamma)]
        return Draft(tokens_N=torch.tensor(tokens), parents_N=torch.tensor(chain(gamma)))

    def _tree(self, stub: StubDraft, state: State, place: int, gamma: int) -> Draft:
        parents, ranks = form(self.paths, gamma)
        below, levels = children(parents), depths(parents)
        for level in range(max(levels)):
            stub.read(sum(levels[node] == level and bool(below[node]) for node in range(len(parents))), state)
        tokens, carrier = list[int](), -1
        for node, (parent, rank) in enumerate(zip(parents, ranks, strict=True)):
            likeliest = parent == carrier and rank == 0
            tokens.append(self._token(place + levels[node], levels[node]) if likeliest else WRONG)
            carrier = node if likeliest else carrier
        return Draft(tokens_N=torch.tensor(tokens), parents_N=torch.tensor(parents))

    def _token(self, place: int, depth: int) -> int:
        if not self.script.right(place, depth):
            return WRONG
        return END if place + 1 == self.script.end else RIGHT


@dataclass(frozen=True, kw_only=True)
class StubPruner(Uniform):
    """Prunes, in the time that it takes."""

    times: Times
    time: VirtualClock

    def keep(self, evidence: Evidence) -> Tensor:
        self.time.spend(self.times.prune_s(evidence.tokens))
        return super().keep(evidence)
