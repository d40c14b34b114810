"""An exact prefix is exact: under every schedule, gamma and form of draft, whatever the rule behind it lets stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vsd.draft import Window
from vsd.executors.base import Done
from vsd.generation import Generation
from vsd.models.tree import NO_DRAFT, chain
from vsd.parallelism import HIPPO, PARALLELVLM, PEARL, Parallelism, Sequential
from vsd.testing.small_sides import Reader, between
from vsd.types import Draft, Evidence, Grid, Output, VerifierContext
from vsd.utils.random_source import SeededRandom
from vsd.verifiers import Greedy, Verifier
from vsd.verifiers.base import check_final
from vsd.verifiers.exact_prefix import ExactPrefix
from vsd.verifiers.lvspec import LVSpec
from vsd.verifiers.random_relax import RandomRelax
from vsd.verifiers.relaxed import Line, Relaxed
from vsd.verifiers.sampling import Sampling
from vsd.verifiers.synthetic import Synthetic

VOCAB = 5
EVIDENCE = Evidence(grid=Grid(1, 1, 1))


@dataclass(frozen=True, kw_only=True)
class Everything(Relaxed):
    """Fully loose."""

    def stands(self, line: Line) -> tuple[bool, ...]:
        return (True,) * len(line.tokens)


def own(text: tuple[int, ...]) -> int:
    """What the target says behind a text."""
    return hash((7, *text)) % VOCAB


def logits(text: tuple[int, ...]) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(own(text)), VOCAB).double()


class Trees(Reader):
    """A target that reads trees too."""

    def forward(self, ids_M: Tensor, parents: Sequence[int], state: Reader, **options: Any) -> Output:
        self.parents, self.ids, texts = list(parents), ids_M.tolist(), list[tuple[int, ...]]()
        for token, parent in zip(self.ids, self.parents, strict=True):
            texts.append((*(texts[parent] if parent >= 0 else self.read), token))
        return Output(logits_MW=torch.stack([self.model(text) for text in texts]))

    def commit(self, path: Sequence[int]) -> None:
        assert [self.parents[node] for node in path] == [-1, *path[:-1]]
        self.read += tuple(self.ids[node] for node in path)


class Wrong:
    """A draft's session that is wrong at some places of the generation; of a tree the sibling of each node is
    another token."""

    def __init__(self, places: set[int], *, tree: bool) -> None:
        self.places, self.tree = places, tree

    def propose(self, *, tokens: Sequence[int], gamma: int, **news: Any) -> Window:
        proposed, parents, level = list[int](), list[int](), [(-1, tuple(tokens))]
        for _ in range(gamma):
            below = list[tuple[int, tuple[int, ...]]]()
            for parent, text in level:
                right = own(text)
                first = (right + 1) % VOCAB if len(text) in self.places else right
                for token in (first, (first + 2) % VOCAB) if self.tree else (first,):
                    proposed.append(token)
                    parents.append(parent)
                    below.append((len(proposed) - 1, (*text, token)))
            level = below[:2]  # two of them grow on
        draft = Draft(tokens_N=torch.tensor(proposed), parents_N=torch.tensor(parents))
        return Window(draft=draft, seconds=1e-5 * gamma)

    def start(self, **request: Any) -> Done[Window]:
        return Done(self.propose(**request))


def decoded(
    schedule: Parallelism, verifier: Verifier, places: set[int], *, gamma: int, limit: int, tree: bool
) -> Generation:
    """The generation, and the first window drafted within the prefill where the schedule does so."""
    reader = Trees(logits, 0)
    draft: Any = Wrong(places, tree=tree)
    generation = Generation(limit=limit, eos=frozenset())
    session = between(reader, verifier, SeededRandom(0), generation=generation, gamma=gamma)
    if getattr(schedule, "early_draft", False):
        session.pending = session.test_first(logits(()), draft.propose(tokens=[], gamma=min(gamma, limit)))
    else:
        session.begin(session.first(logits(()), NO_DRAFT))
    schedule.decode(session, draft)
    return generation


CHOICES = [(pre, post) for pre in (True, False) for post in (True, False)]
SCHEDULES: list[tuple[Parallelism, bool]] = [
    (Sequential(), False),
    (Sequential(), True),
    *(
        (replace(kind, pre_verify=pre, post_verify=post, early_draft=early), False)
        for kind in (PEARL, HIPPO, PARALLELVLM)
        for pre, post in CHOICES
        for early in (True, False)
    ),
]


@pytest.mark.parametrize(("schedule", "tree"), SCHEDULES, ids=lambda value: repr(value)[:100])
@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(0, 20),
    gamma=st.integers(1, 8),
    limit=st.integers(1, 24),
    places=st.sets(st.integers(0, 23), max_size=16),
)
def test_the_first_tokens_are_the_targets_own(
    schedule: Parallelism, tree: bool, length: int, gamma: int, limit: int, places: set[int]
) -> None:
    gamma = min(gamma, 4) if tree else gamma
    rule = ExactPrefix(inner=Everything(), length=length)
    generation = decoded(schedule, rule, places, gamma=gamma, limit=limit, tree=tree)
    expected: tuple[int, ...] = ()
    for _ in range(limit):
        expected = (*expected, own(expected))
    assert len(generation.tokens) == limit
    assert generation.tokens[:length] == list(expected[:length])
    place = limit - sum(each.committed for each in generation.rounds)
    for each in generation.rounds:  # and no token inside is said to be relaxed
        assert all(place + relaxed >= length for relaxed in each.relaxed)
        assert len(each.gaps) == len(each.relaxed)
        place += each.committed


@pytest.mark.parametrize("gamma", [1, 2, 5, 8])
def test_behind_it_everything_may_stand(gamma: int) -> None:
    for schedule, tree in SCHEDULES:
        rule = ExactPrefix(inner=Everything(), length=3)
        generation = decoded(schedule, rule, set(range(24)), gamma=min(gamma, 4), limit=20, tree=tree)
        assert sum(len(each.relaxed) for each in generation.rounds) >= 5


def judged(
    rule: Verifier, tokens: Sequence[int], argmax: Sequence[int], committed: int, **more: Any
) -> tuple[Any, ...]:
    """Path, bonus and what is relaxed of a chain behind so many tokens; `argmax` may lack the last row."""
    draft = Draft(tokens_N=torch.tensor(tokens, dtype=torch.long), parents_N=torch.tensor(chain(len(tokens))))
    logits_MW = torch.nn.functional.one_hot(torch.tensor(argmax), VOCAB).double()
    context = VerifierContext(evidence=EVIDENCE, tokens=[0] * committed, left=99)
    verdict = rule.verify(draft, Output(logits_MW=logits_MW, **more), context, SeededRandom(0))
    return verdict.path, verdict.bonus, verdict.relaxed


def test_the_border_lies_within_a_draft() -> None:
    rule = ExactPrefix(inner=Everything(), length=4)
    assert judged(rule, [1, 1, 1, 1], [1, 1, 2, 2, 3], 2) == ((0, 1, 2, 3), 3, (False, False, True, True))
    assert judged(rule, [1, 1, 1, 1], [1, 2, 2, 2, 3], 2) == ((0,), 2, (False,))
    assert judged(rule, [1, 1, 1, 1], [2, 2, 2, 2, 3], 4) == ((0, 1, 2, 3), 3, (True,) * 4)
    assert judged(rule, [1, 1], [1, 1, 2], 2) == ((0, 1), 2, (False, False))
    assert judged(rule, [], [2], 0) == ((), 2, ())


def test_the_last_token_may_be_unread_on_either_side_of_the_border() -> None:
    for committed in (0, 1, 2, 3, 4):  # the target has read two of three tokens
        rule = ExactPrefix(inner=Everything(), length=3)
        assert judged(rule, [1, 1, 1], [1, 1, 1], committed)[:2] == ((0, 1, 2), None)
        stands = judged(rule, [1, 1, 1], [1, 1, 2], committed)[:2]
        assert stands == (((0, 1), 2) if committed == 0 else ((0, 1, 2), None))


def test_the_rule_behind_it_sees_its_own_part_only() -> None:
    relevance = {"evidence": {"relevance": torch.tensor([0.9, 0.9, 0.1, 0.9, 0.5])}}
    rule = ExactPrefix(inner=LVSpec(looseness=0.5, shift=False), length=2)
    # of the last two places the one of less relevance is loose: the first of them
    assert judged(rule, [1, 1, 1, 1], [1, 1, 2, 2, 3], 0, **relevance) == ((0, 1, 2), 2, (False, False, True))
    rates = ExactPrefix(inner=Synthetic(rates=(1.0, 0.0), rate=1.0), length=2)
    assert judged(rates, [1, 1, 1, 1], [1, 1, 2, 2, 3], 0)[0] == (0, 1, 2)


@pytest.mark.parametrize(("schedule", "tree"), SCHEDULES, ids=lambda value: repr(value)[:100])
def test_the_context_says_what_is_so(schedule: Parallelism, tree: bool) -> None:
    seen = list[tuple[VerifierContext, list[int], int, int, int]]()

    class Watching(Everything):
        def verify(self, draft: Draft, output: Output, context: VerifierContext, random: Any) -> Any:
            nodes, rows = len(draft.tokens_N), output.logits_MW.shape[0]
            seen.append((context, list(context.tokens), len(context.rounds), nodes, rows))
            return super().verify(draft, output, context, random)

    generation = decoded(schedule, Watching(), {2, 3, 7}, gamma=3, limit=20, tree=tree)
    unread = 0
    for context, tokens, rounds, nodes, rows in seen:
        assert tokens == generation.tokens[: len(tokens)]
        assert len(tokens) == sum(each.committed for each in generation.rounds[:rounds]) + bool(tokens) * first(
            generation
        )
        assert context.left == 20 - len(tokens)
        assert context.last_read == (rows == nodes + 1)
        assert rows in (nodes, nodes + 1)
        unread += not context.last_read
    works_ahead = getattr(schedule, "pre_verify", False) or getattr(schedule, "post_verify", False)
    assert (unread > 0) == bool(works_ahead or getattr(schedule, "early_draft", False))


def first(generation: Generation) -> int:
    """How many tokens came from the prefill, and belong to no round."""
    return len(generation.tokens) - sum(each.committed for each in generation.rounds)


def test_what_it_says_of_itself_is_the_inner_rules() -> None:
    assert ExactPrefix(inner=Greedy()).lossless
    assert not ExactPrefix(inner=RandomRelax()).lossless
    assert isinstance(ExactPrefix(inner=RandomRelax()).alone(), Greedy)
    drawn = Sampling(temperature=1.0)
    assert ExactPrefix(inner=drawn).alone() is drawn


def test_a_verdict_must_not_make_up_a_token_nor_leave_one_out() -> None:
    output = Output(logits_MW=torch.zeros(2, VOCAB))
    draft = Draft(tokens_N=torch.tensor([1, 1]), parents_N=torch.tensor([-1, 0]))
    context = VerifierContext(evidence=EVIDENCE, left=9, last_read=False)
    verdict = Everything().verify(draft, output, context, SeededRandom(0))
    check_final(verdict, output, Everything())
    for path, bonus in (((0, 1), 3), ((0,), None), ((), None)):
        with pytest.raises(RuntimeError, match=r"^Everything: a verdict needs "):
            check_final(type(verdict)(path=path, bonus=bonus), output, Everything())
