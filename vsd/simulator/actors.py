"""Models that are not there: they read, write and take as long as they are told, and the engine cannot tell.

Words are numbers: every answer of the target is ``RIGHT RIGHT RIGHT ...``, and the draft writes ``WRONG`` where the
script says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vsd.drafters.base import Drafter, asked
from vsd.drafters.tree import form
from vsd.models.base import Early, VideoLM
from vsd.models.cache import State
from vsd.models.tree import chain, children, depths
from vsd.pruners.uniform import Uniform
from vsd.simulator.acceptance import Script
from vsd.simulator.timeline import Timeline
from vsd.simulator.times import Times
from vsd.types import Context, Draft, Evidence, Grid, Output, Prompt, Video
from vsd.utils.clock import Clock
from vsd.utils.random_source import Chance

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
class Actor:
    """What both models have in common."""

    script: Script
    times: Times
    time: Timeline
    name: str = "simulated"
    device: torch.device = field(default=torch.device("cpu"))
    places: frozenset[str] = frozenset()
    eos: frozenset[int] = frozenset({END})
    vocab: int = 3
    context: int = 1 << 40

    @property
    def model(self) -> Actor:
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
class Target(Actor):
    """Says the script's words. `early` is the share of its prefill after which the pruner's evidence is there."""

    early: float = 0.5
    laws_LW: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        words_L = torch.full((2 * self.script.limit + 1,), RIGHT)  # drafts may go on behind the end
        if self.script.end is not None:
            words_L[self.script.end - 1] = END
        object.__setattr__(self, "laws_LW", torch.nn.functional.one_hot(words_L, self.vocab).float())

    def encode(self, video: Video, question: str) -> Prompt:
        self.time.begin()
        self.time.spend(self.times.encode_s(self.script.visual))
        return self.prompt()

    def prefill(
        self,
        prompt: Prompt,
        *,
        want: Iterable[str] = frozenset(),
        capacity: int | None = None,
        early: Early | None = None,
    ) -> tuple[Rows, Tensor, Evidence]:
        seconds, evidence = self.times.prefill_s(prompt.length), Evidence(grid=prompt.grid)
        before = seconds * self.early if early else seconds
        self.time.spend(before)
        if early:
            early.call(evidence)
        self.time.spend(seconds - before)
        return Rows(prompt.length), self.laws_LW[0], evidence

    def forward(
        self, ids_M: Tensor, parents_M: Sequence[int], state: Rows, *, layer: str | None = None, mass: None = None
    ) -> Output:
        count, place = len(parents_M), state.generated + 1  # of the word behind the root
        self.time.begin()
        self.time.spend(self.times.verify_s(count, state.length))
        if parents_M == chain(count):
            return Output(logits_MW=self.laws_LW[place : place + count])
        return Output(logits_MW=self.laws_LW[place + torch.tensor(depths(parents_M))])


@dataclass(frozen=True, kw_only=True)
class Writer(Actor):
    """The draft's model. What it writes, `Writing` knows."""

    def encode(self, video: Video, question: str) -> Prompt:
        self.time.spend(self.times.draft_encode_s(self.script.visual))
        return self.prompt()

    def prefill(
        self, prompt: Prompt, *, want: Iterable[str] = frozenset(), capacity: int | None = None
    ) -> tuple[Rows, Tensor, Evidence]:
        self.time.spend(self.times.draft_prefill_s(prompt.length))
        return Rows(prompt.length), torch.empty(self.vocab), Evidence(grid=prompt.grid)

    def read(self, nodes: int, state: State) -> None:
        """Take the time of a pass over so many nodes."""
        self.time.spend(self.times.draft_s(nodes, state.length))


@dataclass(frozen=True, kw_only=True)
class Writing(Drafter):
    """Chains, or with `paths` trees of that form (see `vsd.drafters.tree`), with the words of a script.

    Of a tree the likeliest child is right where any is.
    """

    script: Script
    paths: str = ""

    @property
    def chains(self) -> bool:  # type: ignore[override]
        return not self.paths

    def nodes(self, gamma: int) -> int:
        return len(form(self.paths, gamma).parents) if self.paths else gamma

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, chance: Chance
    ) -> Draft:
        writer, state = asked(model, state)
        assert isinstance(writer, Writer)
        writer.time.spend(writer.times.window_s)
        place = len(context.tokens)
        late = place - state.generated
        if late:  # before there is a first word, the prompt's own logits say what follows
            writer.read(late, state)
            state.commit(range(late))
        if self.paths:
            return self._tree(writer, state, place, gamma)
        for _ in range(gamma - 1):
            writer.read(1, state)
            state.commit((0,))
        words = [self._word(place + depth, depth) for depth in range(gamma)]
        return Draft(tokens_N=torch.tensor(words), parents_N=torch.tensor(chain(gamma)))

    def _tree(self, writer: Writer, state: State, place: int, gamma: int) -> Draft:
        parents, ranks = form(self.paths, gamma)
        below, levels = children(parents), depths(parents)
        for level in range(max(levels)):
            writer.read(sum(levels[node] == level and bool(below[node]) for node in range(len(parents))), state)
        words, carrier = list[int](), -1
        for node, (parent, rank) in enumerate(zip(parents, ranks, strict=True)):
            likeliest = parent == carrier and rank == 0
            words.append(self._word(place + levels[node], levels[node]) if likeliest else WRONG)
            carrier = node if likeliest else carrier
        return Draft(tokens_N=torch.tensor(words), parents_N=torch.tensor(parents))

    def _word(self, place: int, depth: int) -> int:
        if not self.script.right(place, depth):
            return WRONG
        return END if place + 1 == self.script.end else RIGHT


@dataclass(frozen=True, kw_only=True)
class Pruning(Uniform):
    """Prunes, in the time that it takes."""

    times: Times
    time: Timeline

    def keep(self, evidence: Evidence) -> Tensor:
        self.time.spend(self.times.prune_s(evidence.tokens))
        return super().keep(evidence)
