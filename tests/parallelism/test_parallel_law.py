"""Sampling under the parallel schedule: the law of the answer is the target's, to 1e-12, whatever is drafted ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.branches import Branches, law_of
from tests.small_model import SmallModel, distance, law_of_target
from vsd.chance import Chance
from vsd.clock import Clock
from vsd.drafting import Window
from vsd.law import Law
from vsd.models.tree import chain
from vsd.parallelism import Answer, Parallel, Session
from vsd.parallelism.workers import SameThread
from vsd.types import Draft, Evidence, Grid, Output
from vsd.verifiers import sampling
from vsd.verifiers.sampling import Sampling

WORDS = 3
CHOICES = [(True, True), (True, False), (False, True), (False, False)]


class Reader:
    """The target: reads words behind those that are committed, as its cache would have it."""

    device = torch.device("cpu")

    def __init__(self, model: SmallModel) -> None:
        self.model = model
        self.read: tuple[int, ...] = ()
        self.offered: tuple[int, ...] = ()

    def forward(self, ids_M: torch.Tensor, parents: Sequence[int], state: Reader, layer: str | None = None) -> Output:
        self.offered = tuple(ids_M.tolist())
        texts = [(*self.read, *self.offered[: count + 1])[1:] for count in range(len(self.offered))]
        return Output(logits_MW=torch.stack([self.model(text) for text in texts]))

    def commit(self, path: Sequence[int]) -> None:
        assert list(path) == list(range(len(path)))
        self.read += self.offered[: len(path)]


class Writer:
    """The draft: words drawn from its own law behind any text."""

    def __init__(self, model: SmallModel, law: Law, chance: Chance) -> None:
        self.model, self.law, self.chance = model, law, chance

    def propose(self, tokens: Sequence[int], rounds: Sequence[Any], gamma: int) -> Window:
        text, laws = tuple(tokens[1:]), list[torch.Tensor]()
        for _ in range(gamma):
            laws.append(self.model.law(self.law, text))
            text += (self.chance.pick(laws[-1]),)
        words = torch.tensor(text[len(tokens) - 1 :])
        return Window(
            draft=Draft(
                tokens_N=words,
                parents_N=torch.tensor(chain(gamma)),
                probs_NW=torch.stack(laws) if self.law.temperature else None,
            ),
            seconds=0.0,
        )


def law_of_answers(schedule: Parallel, verifier: Sampling, drawn: Law, seed: int, gamma: int, length: int) -> Any:
    """The law of the `length` words behind a first one, which no model looks at."""

    def answer(chance: Branches) -> tuple[int, ...]:
        target = Reader(SmallModel(seed, WORDS))
        found = Answer(limit=1 + length, eos=frozenset())
        found.append([0])
        session = Session(
            target=target,  # type: ignore[arg-type]
            state=target,  # type: ignore[arg-type]
            worker=SameThread(Writer(SmallModel(100 + seed, WORDS), drawn, chance)),  # type: ignore[arg-type]
            verifier=verifier,
            relevance=None,
            gamma=gamma,
            evidence=Evidence(grid=Grid(1, 1, 1)),
            answer=found,
            clock=Clock(),
            chance=chance,
        )
        schedule.decode(session)
        return tuple(found.tokens[1:])

    return law_of(answer)


@pytest.mark.parametrize(("pre", "post"), CHOICES)
@pytest.mark.parametrize("drawn", [Law(temperature=1.0), Law(), Law(temperature=1.7, top_k=2)], ids=str)
@pytest.mark.parametrize("gamma", [1, 2])
def test_the_law_is_the_targets(pre: bool, post: bool, drawn: Law, gamma: int) -> None:
    verifier, length = Sampling(temperature=1.0, top_p=0.95), 3
    ours = law_of_answers(
        Parallel(executor="inline", pre_verify=pre, post_verify=post), verifier, drawn, 1, gamma, length
    )
    assert sum(ours.values()) == pytest.approx(1, abs=1e-12)
    assert distance(ours, law_of_target(verifier, SmallModel(1, WORDS), length)) < 1e-12


def test_a_biased_rule_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "residual", lambda p, q, token: p)
    verifier, law = Sampling(temperature=1.0), Law(temperature=1.0)
    ours = law_of_answers(Parallel(executor="inline"), verifier, law, 1, 2, 2)
    assert distance(ours, law_of_target(verifier, SmallModel(1, WORDS), 2)) > 1e-3
