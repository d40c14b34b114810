"""Each relaxed rule by hand on small lines, and what all of them share: longest path, fewest relaxed, recorded gaps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from vsd.models.tree import chain
from vsd.types import Draft, Evidence, Grid, Output, Round, Verdict, VerifierContext
from vsd.utils.random_source import SeededRandom
from vsd.verifiers import Verifier
from vsd.verifiers.lvspec import LVSpec, loose_by_quantile, loose_by_rank, shifted
from vsd.verifiers.random_relax import RandomRelax
from vsd.verifiers.relaxed import Line, Relaxed
from vsd.verifiers.synthetic import Synthetic
from vsd.verifiers.topk import TopK
from vsd.verifiers.typical import Typical

CONTEXT = VerifierContext(evidence=Evidence(grid=Grid(1, 1, 1)), left=99)


def judge(
    rule: Verifier,
    tokens: Sequence[int],
    probs: Sequence[Sequence[float]],
    parents: Sequence[int] | None = None,
    relevance: Sequence[float] | None = None,
    context: VerifierContext = CONTEXT,
) -> Verdict:
    """The verdict on a draft (a chain by default), from the target's distributions after the root and after each
    node."""
    parents = chain(len(tokens)) if parents is None else parents
    draft = Draft(tokens_N=torch.tensor(tokens, dtype=torch.long), parents_N=torch.tensor(parents, dtype=torch.long))
    logits_MW = torch.tensor(probs, dtype=torch.float64).log()
    evidence = {} if relevance is None else {"relevance": torch.tensor(relevance, dtype=torch.float64)}
    return rule.verify(draft, Output(logits_MW=logits_MW, evidence=evidence), context, SeededRandom(0))


def a_round(relevance: tuple[float, ...]) -> Round:
    count = len(relevance)
    numbers = {"relevance": relevance} if relevance else {}
    return Round(drafted=count, nodes=count, accepted=count, committed=count, rejected=False, evidence=numbers)


SURE = [0.97, 0.01, 0.01, 0.01]
UNSURE = [0.4, 0.3, 0.2, 0.1]


@dataclass(frozen=True, kw_only=True)
class Everything(Relaxed):
    def stands(self, line: Line) -> tuple[bool, ...]:
        return (True,) * len(line.tokens)


def test_relaxed_tokens_and_their_gaps_are_recorded() -> None:
    verdict = judge(Everything(), [0, 1, 0], [SURE, UNSURE, SURE, UNSURE])
    assert verdict.path == (0, 1, 2)
    assert verdict.relaxed == (False, True, False)
    assert verdict.gaps == pytest.approx((0.0, 0.1, 0.0))
    assert verdict.bonus == 0


def test_of_equally_long_paths_the_one_with_fewer_relaxed_tokens_wins() -> None:
    #  root -> 0 (token 1), 1 (token 0); each with one child
    verdict = judge(Everything(), [1, 0, 0, 0], [SURE] * 5, parents=(-1, -1, 0, 1))
    assert verdict.path == (1, 3)
    assert verdict.relaxed == (False, False)


# LVSpec


def test_rank_relaxes_the_share_of_least_relevance() -> None:
    assert loose_by_rank([0.5, 0.1, 0.9, 0.3, 0.7], 0.4) == (False, True, False, True, False)
    assert loose_by_rank([0.5, 0.1, 0.9, 0.3, 0.7], 0.0) == (False,) * 5
    assert loose_by_rank([0.5, 0.1, 0.9, 0.3, 0.7], 1.0) == (True,) * 5
    assert loose_by_rank([0.2] * 10, 0.7).count(True) == 7  # 0.7 * 10 is 7, in spite of rounding
    assert loose_by_rank([0.2, 0.2], 0.5) == (False, True)


def test_quantile_looks_back_over_the_generation() -> None:
    seen = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert loose_by_quantile([0.25, 0.85], seen, 0.5) == (True, False)
    assert loose_by_quantile([0.25, 0.85], seen, 0.0) == (False, False)


@pytest.mark.parametrize(
    ("tokens", "argmax", "place", "settings", "found"),
    [
        ("wdamsx", "mwdams", 0, {}, True),  # "wooden deck and ..." against "multiple wooden deck and ..."
        ("wdamsx", "mwdams", 0, {"side": "earlier"}, False),
        ("wdamsx", "mwdams", 0, {"match": "target_in_draft"}, True),  # m comes three places later
        ("wdamsx", "mwdams", 0, {"match": "target_in_draft", "window": 2}, False),
        ("abcd", "abxd", 2, {}, False),
        ("abcb", "abca", 3, {"side": "earlier"}, True),
        ("abcb", "abca", 3, {"side": "later"}, False),
    ],
)
def test_position_shift(tokens: str, argmax: str, place: int, settings: dict[str, Any], found: bool) -> None:
    how: dict[str, Any] = {"window": 3, "side": "both", "match": "either"} | settings
    assert shifted([*map(ord, tokens)], [*map(ord, argmax)], place, **how) is found


def test_lvspec_is_strict_where_the_video_matters() -> None:
    tokens, probs = [1, 1, 1], [UNSURE] * 4  # the target says 0 everywhere
    rule = LVSpec(looseness=0.7, shift=False)
    assert judge(rule, tokens, probs, relevance=[0.1, 0.2, 0.9, 0.5]).path == (0, 1)
    assert judge(rule, tokens, probs, relevance=[0.9, 0.2, 0.1, 0.5]).path == ()
    assert judge(LVSpec(looseness=0.0), tokens, probs, relevance=[0.1] * 4).path == ()
    assert judge(LVSpec(looseness=1.0, shift=False), tokens, probs, relevance=[0.1] * 4).path == (0, 1, 2)
    absolute = LVSpec(threshold="absolute", below=0.3, shift=False)
    assert judge(absolute, tokens, probs, relevance=[0.1, 0.4, 0.1, 0.5]).path == (0,)


def test_lvspec_forgives_a_shift_unless_told() -> None:
    probs = [[0.1, 0.7, 0.1, 0.1], SURE, [0.1, 0.1, 0.7, 0.1], SURE]  # the target says 1 0 2 0
    relevance = [0.9, 0.9, 0.9, 0.9]
    assert judge(LVSpec(looseness=0.1), [0, 1, 2], probs, relevance=relevance).path == (0, 1, 2)
    assert judge(LVSpec(looseness=0.1, shift=False), [0, 1, 2], probs, relevance=relevance).path == ()


def test_the_quantile_is_that_of_the_generation_so_far() -> None:
    rule, tokens, probs = LVSpec(threshold="quantile", looseness=0.5, shift=False), [1], [UNSURE, SURE]

    def stood(*before: float) -> bool:
        rounds = [a_round(relevance=before)]
        context = VerifierContext(evidence=CONTEXT.evidence, rounds=rounds, left=9)
        return bool(judge(rule, tokens, probs, relevance=[0.5, 0.5], context=context).path)

    assert not stood()  # of one value, the place itself, it is the largest
    assert stood(0.9, 0.8, 0.1)
    assert not stood(0.9, 0.2, 0.1)


# The others


def test_typical() -> None:
    entropy = -sum(p * math.log(p) for p in UNSURE)
    least = 0.3 * math.exp(-entropy)
    assert 0.09 > least > 0.08
    assert judge(Typical(), [3], [UNSURE, SURE]).path == (0,)  # 0.1 is above 0.083
    assert judge(Typical(), [1], [SURE, SURE]).path == ()  # 0.01 is below min(0.09, 0.25)
    assert judge(Typical(epsilon=1, delta=9), [1], [UNSURE, SURE]).path == ()


def test_topk() -> None:
    assert judge(TopK(k=2, gap=0.2), [1], [UNSURE, SURE]).path == (0,)
    assert judge(TopK(k=2, gap=0.05), [1], [UNSURE, SURE]).path == ()
    assert judge(TopK(k=2, gap=1.0), [2], [UNSURE, SURE]).path == ()


def test_random_relaxation_has_its_rate() -> None:
    draft = Draft(tokens_N=torch.tensor([1]), parents_N=torch.tensor([-1]))
    output, random = Output(logits_MW=torch.tensor([UNSURE, SURE]).log()), SeededRandom(0)
    stood = sum(bool(RandomRelax(looseness=0.3).verify(draft, output, CONTEXT, random).path) for _ in range(1000))
    assert 250 < stood < 350


@pytest.mark.parametrize("rule", [RandomRelax(looseness=0.3), Synthetic(rate=0.3)])
def test_a_node_is_drawn_once_whatever_hangs_below_it(rule: Relaxed) -> None:
    parents = torch.tensor([-1, 0, 0, 0, 0, 0, 0, 0, 0])
    draft = Draft(tokens_N=torch.ones(9, dtype=torch.long), parents_N=parents)
    output, random = Output(logits_MW=torch.tensor([UNSURE] * 10).log()), SeededRandom(0)
    stood = sum(bool(rule.verify(draft, output, CONTEXT, random).path) for _ in range(1000))
    assert 250 < stood < 350


def test_synthetic_acceptance_has_its_rates() -> None:
    rule = Synthetic(rates=(1.0, 0.0), rate=1.0)
    assert judge(rule, [3, 3, 3], [SURE] * 4).path == (0,)
    assert rule.synthetic


MEAN: dict[str, Any] = {"threshold": "mean"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LVSpec(looseness=1.1), r"^verifier.looseness: must be in \[0, 1\], got 1.1$"),
        (
            lambda: LVSpec(**MEAN),
            r"^verifier.threshold: must be one of rank, quantile, absolute, got 'mean'$",
        ),
        (lambda: LVSpec(shift_window=0), r"^verifier.shift_window: must be a whole number, at least 1, got 0$"),
        (lambda: RandomRelax(looseness=-0.1), r"^verifier.looseness: must be in \[0, 1\], got -0.1$"),
        (lambda: TopK(k=0), r"^verifier.k: must be a whole number, at least 1, got 0$"),
        (lambda: Synthetic(rates=(2.0,)), r"^verifier.rates: must be in \[0, 1\], got 2.0$"),
        (lambda: Typical(epsilon=-1), r"^verifier.epsilon: must be a number, at least 0, got -1$"),
    ],
)
def test_values_out_of_range_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
