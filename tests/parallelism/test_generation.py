"""A generation stops at its end, to the token, and its rounds say what was really committed."""

from __future__ import annotations

import torch

from vsd.generation import Generation
from vsd.models.tree import chain
from vsd.types import Draft, Round, Verdict

EOS = 0


def a_draft(*tokens: int) -> Draft:
    return Draft(tokens_N=torch.tensor(tokens), parents_N=torch.tensor(chain(len(tokens))))


def add(generation: Generation, draft: Draft, accepted: int, bonus: int) -> Round:
    path = tuple(range(accepted))
    generation.add(
        draft, Verdict(path=path, bonus=bonus, relaxed=(True,) * accepted, gaps=(0.5, 0.25, 0.125, 0.0625)[:accepted])
    )
    return generation.rounds[-1]


def test_a_round() -> None:
    generation = Generation(limit=10, eos=frozenset({EOS}))
    record = add(generation, a_draft(1, 2, 3), accepted=2, bonus=9)
    assert generation.tokens == [1, 2, 9]
    assert record == Round(
        drafted=3, nodes=3, accepted=2, committed=3, rejected=True, relaxed=(0, 1), gaps=(0.5, 0.25), wasted=1
    )
    assert add(generation, a_draft(4, 5), accepted=2, bonus=6).rejected is False
    assert generation.left == 4
    assert generation.finish == ""


def test_the_end_of_sequence_cuts_a_window() -> None:
    generation = Generation(limit=10, eos=frozenset({EOS}))
    record = add(generation, a_draft(1, EOS, 3, 4), accepted=3, bonus=9)
    assert generation.tokens == [1, EOS]
    assert generation.finish == "eos"
    assert record == Round(
        drafted=4, nodes=4, accepted=2, committed=2, rejected=False, relaxed=(0, 1), gaps=(0.5, 0.25), wasted=2
    )


def test_the_limit_cuts_a_window() -> None:
    generation = Generation(limit=2, eos=frozenset({EOS}))
    record = add(generation, a_draft(1, 2, 3), accepted=3, bonus=9)
    assert generation.tokens == [1, 2]
    assert generation.finish == "length"
    assert (record.accepted, record.committed, record.rejected) == (2, 2, False)


def test_an_end_of_sequence_at_the_limit_is_an_end_of_sequence() -> None:
    generation = Generation(limit=2, eos=frozenset({EOS}))
    add(generation, a_draft(1), accepted=1, bonus=EOS)
    assert generation.finish == "eos"


def test_a_tree_is_refused_below_the_path_only() -> None:
    draft = Draft(tokens_N=torch.tensor([1, 2, 3]), parents_N=torch.tensor([-1, -1, 0]))
    leaf = Generation(limit=10, eos=frozenset())
    leaf.add(draft, Verdict(path=(1,), bonus=5))
    assert leaf.rounds[0].rejected is False
    inner = Generation(limit=10, eos=frozenset())
    inner.add(draft, Verdict(path=(0,), bonus=5))
    assert inner.rounds[0].rejected is True
    assert inner.rounds[0].drafted == 2
