"""A thousand small cases: any acceptance, any window, an end anywhere, and the generation is the target's own."""

from __future__ import annotations

from functools import cache

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vsd.parallelism import Autoregressive, Parallel, Parallelism, Sequential
from vsd.testing.small_sides import both_sides
from vsd.types import Round
from vsd.utils.random_source import SeededRandom
from vsd.verifiers import Greedy

VOCAB = 6


@cache
def said(seed: int, text: tuple[int, ...]) -> int:
    """The target's token behind a text."""
    return int(torch.randint(VOCAB, (), generator=_rng(seed, text)))


@cache
def agrees(seed: int, text: tuple[int, ...], rate: float) -> bool:
    """Whether the draft says the same."""
    return float(torch.rand((), generator=_rng(seed + 1, text))) < rate


def _rng(seed: int, text: tuple[int, ...]) -> torch.Generator:
    return torch.Generator().manual_seed(hash((seed, *text)) % 2**63)


def logits_of(token: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(token), VOCAB).double()


def decoded(
    schedule: Parallelism, seed: int, rate: float, *, limit: int, gamma: int, eos: frozenset[int], first: str = "given"
) -> tuple[list[int], str, list[Round], int]:
    def target(text: tuple[int, ...]) -> Tensor:
        return logits_of(said(seed, text))

    def draft(text: tuple[int, ...]) -> Tensor:
        return logits_of((said(seed, text) + (not agrees(seed, text, rate))) % VOCAB)

    session, writer = both_sides(
        target, draft, Greedy(), SeededRandom(0), limit=limit, gamma=gamma, eos=eos, first=first
    )
    schedule.decode(session, writer)
    return session.generation.tokens, session.generation.finish, session.generation.rounds, session.forwards


@settings(max_examples=1000, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    rate=st.sampled_from([0.0, 0.3, 0.7, 0.9, 1.0]),
    limit=st.integers(2, 40),
    gamma=st.integers(1, 9),
    ends=st.booleans(),
    pre=st.booleans(),
    post=st.booleans(),
    early=st.booleans(),
)
def test_any_case_gives_the_targets_own_generation(
    seed: int, rate: float, limit: int, gamma: int, ends: bool, pre: bool, post: bool, early: bool
) -> None:
    schedule = Parallel(pre_verify=pre, post_verify=post)
    eos = frozenset({1}) if ends else frozenset[int]()
    alone, finish, _, _ = decoded(
        Autoregressive(), seed, rate, limit=limit, gamma=gamma, eos=eos, first="own" if early else "given"
    )
    tokens, ended, rounds, forwards = decoded(
        schedule, seed, rate, limit=limit, gamma=gamma, eos=eos, first="drafted" if early else "given"
    )
    assert (tokens, ended) == (alone, finish)
    assert sum(each.committed for each in rounds) == len(tokens) - (not early)
    assert sum(each.proposed for each in rounds) == sum(each.accepted + each.wasted for each in rounds)
    assert forwards == len(rounds) - early <= len(tokens) - 1
    assert all(each.accepted <= each.drafted for each in rounds)


def test_the_acceptance_of_a_run_does_not_depend_on_the_schedule() -> None:
    lengths = []
    for schedule in (Sequential(), Parallel()):
        rounds = [
            each for seed in range(20) for each in decoded(schedule, seed, 0.8, limit=100, gamma=4, eos=frozenset())[2]
        ]
        accepted, rejected = (sum(getattr(each, name) for each in rounds) for name in ("accepted", "rejected"))
        lengths.append(accepted / (accepted + rejected))
    assert all(abs(length - 0.8) < 0.02 for length in lengths)
