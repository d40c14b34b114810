"""Both sides of a schedule with models of a few tokens: a target that reads, a draft that writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import torch
from torch import Tensor

from vsd.draft import Window
from vsd.models.tree import chain
from vsd.parallelism import Generation, Session
from vsd.types import Draft, Evidence, Grid, Output
from vsd.utils.clock import Clock
from vsd.utils.probabilities import SamplingParams
from vsd.utils.random_source import RandomSource
from vsd.verifiers import Verifier

Model = Callable[[tuple[int, ...]], Tensor]
"""Logits behind a text. A first token of a generation that nobody drafted is no part of it."""


class Reader:
    """The target and its cache: reads tokens behind those that are committed."""

    device = torch.device("cpu")

    def __init__(self, model: Model, first: int) -> None:
        self.model, self.first = model, first
        self.read: tuple[int, ...] = ()
        self.offered: tuple[int, ...] = ()

    def forward(
        self, ids_M: Tensor, parents: Sequence[int], state: Reader, layer: str | None = None, mass: None = None
    ) -> Output:
        assert list(parents) == list(chain(len(ids_M)))
        self.offered = tuple(ids_M.tolist())
        texts = [(*self.read, *self.offered[: count + 1])[self.first :] for count in range(len(self.offered))]
        return Output(logits_MW=torch.stack([self.model(text) for text in texts]))

    def commit(self, path: Sequence[int]) -> None:
        assert list(path) == list(range(len(path)))
        self.read += self.offered[: len(path)]


class Writer:
    """The draft as a worker: tokens of its own distribution behind any text."""

    def __init__(self, model: Model, params: SamplingParams, random: RandomSource, first: int) -> None:
        self.model, self.params, self.random, self.first = model, params, random, first

    def propose(
        self, tokens: Sequence[int], rounds: Sequence[Any], gamma: int, visual_mass: float | None = None
    ) -> Future[Window]:
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
        future: Future[Window] = Future()
        future.set_result(Window(draft=draft, seconds=0.0))
        return future


def between(
    reader: Any, worker: Any, verifier: Verifier, random: RandomSource, *, generation: Generation, gamma: int
) -> Session:
    """A session of a stub target, which is its own state, and a stub worker."""
    return Session(
        target=reader,
        state=reader,
        worker=worker,
        verifier=verifier,
        relevance=None,
        gamma=gamma,
        evidence=Evidence(grid=Grid(1, 1, 1)),
        generation=generation,
        clock=Clock(),
        random=random,
    )


def a_session(
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
) -> Session:
    """A session behind a first token: 0 ("given"), the target's ("own"), or one that was drafted with the rest of a
    window ("drafted")."""
    given = int(first == "given")
    generation, reader = Generation(limit=limit, eos=eos), Reader(target, given)
    writer = Writer(draft, params or SamplingParams(), random, given)
    session = between(reader, writer, verifier, random, generation=generation, gamma=gamma)
    if given:
        generation.append([0])
    else:
        window = writer.propose([], [], min(gamma, limit)).result() if first == "drafted" else None
        session.begin(target(()), window)
    return session
