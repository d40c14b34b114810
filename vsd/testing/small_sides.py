"""Both sides of a schedule with models of a few tokens: a target that reads, a draft that writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vsd.draft import Window
from vsd.evidence import Collector, Reading
from vsd.executors.base import Done
from vsd.generation import Generation
from vsd.models.tree import NO_DRAFT, chain
from vsd.session import Session
from vsd.types import Draft, Grid, Output, Prompt
from vsd.utils.clock import Clock
from vsd.utils.probabilities import SamplingParams
from vsd.utils.random_source import RandomSource
from vsd.verifiers import Verifier

Model = Callable[[tuple[int, ...]], Tensor]
"""Logits behind a text. A first token that nobody drafted is no part of it."""

PROMPT = Prompt(
    ids_T=torch.zeros(1, dtype=torch.long),
    embeds_TD=torch.zeros(1, 1),
    positions_PT=torch.zeros(1, 1, dtype=torch.long),
    visual_V=torch.zeros(1, dtype=torch.long),
    grid=Grid(1, 1, 1),
    suffix=1,
    next_position=1,
)


class Reader:
    """The target, its prefill and its cache: reads tokens behind those that are committed."""

    device = torch.device("cpu")
    depth = ranks = 1

    def __init__(self, model: Model, first: int) -> None:
        self.model, self.first, self.state = model, first, self
        self.read: tuple[int, ...] = ()
        self.offered: tuple[int, ...] = ()

    def start_prefill(self, prompt: Prompt, **options: Any) -> Reader:
        return self

    def finish(self) -> Tensor:
        return self.model(())

    def forward(self, ids_M: Tensor, parents: Sequence[int], state: Reader, **options: Any) -> Output:
        assert list(parents) == list(chain(len(ids_M)))
        self.offered = tuple(ids_M.tolist())
        texts = [(*self.read, *self.offered[: count + 1])[self.first :] for count in range(len(self.offered))]
        return Output(logits_MW=torch.stack([self.model(text) for text in texts]))

    def commit(self, path: Sequence[int]) -> None:
        assert list(path) == list(range(len(path)))
        self.read += self.offered[: len(path)]


class Writer:
    """The draft's session: tokens of its own probabilities behind any text."""

    def __init__(self, model: Model, params: SamplingParams, random: RandomSource, first: int) -> None:
        self.model, self.params, self.random, self.first = model, params, random, first

    def propose(self, *, tokens: Sequence[int], gamma: int, **news: Any) -> Window:
        text, probs = tuple(tokens[self.first :]), list[Tensor]()
        before = len(text)
        for _ in range(gamma):
            probs.append(self.params.probs(self.model(text)[None])[0])
            text += (self.random.pick(probs[-1]) if self.params.temperature else int(probs[-1].argmax()),)
        draft = Draft(
            tokens_N=torch.tensor(text[before:]),
            parents_N=torch.tensor(chain(gamma)),
            probs_NW=torch.stack(probs) if self.params.temperature else None,
        )
        return Window(draft=draft, seconds=0.0)

    def start(self, **request: Any) -> Done[Window]:
        return Done(self.propose(**request))


def between(reader: Any, verifier: Verifier, random: RandomSource, *, generation: Generation, gamma: int) -> Session:
    """A session of a stub target, whose prompt is read."""
    needs: Mapping[str, str] = {}
    session = Session(
        target=reader,
        prompt=PROMPT,
        collector=Collector(needs, Reading(prompt=PROMPT, depth=1)),
        verifier=verifier,
        generation=generation,
        clock=Clock(),
        random=random,
        capacity=0,
        gamma=gamma,
        recent=deque(),
    )
    session.prefill()
    return session


def both_sides(
    target: Model,
    draft: Model,
    verifier: Verifier,
    random: RandomSource,
    *,
    limit: int,
    gamma: int,
    params: SamplingParams | None = None,
    eos: frozenset[int] = frozenset(),
    first: str = "given",
) -> tuple[Session, Any]:
    """Both sessions behind a first token: 0 ("given"), the target's ("own"), or one that was drafted with the rest of a
    window ("drafted")."""
    given = int(first == "given")
    generation, reader = Generation(limit=limit, eos=eos), Reader(target, given)
    writer = Writer(draft, params or SamplingParams(), random, given)
    session = between(reader, verifier, random, generation=generation, gamma=gamma)
    if given:
        generation.append([0])
    elif first == "own":
        session.begin(session.first(target(()), NO_DRAFT))
    else:
        session.pending = session.test_first(target(()), writer.propose(tokens=[], gamma=min(gamma, limit)))
    return session, writer
