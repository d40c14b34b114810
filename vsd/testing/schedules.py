"""What holds for every schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vsd.engine import Engine
from vsd.executors import Inline
from vsd.parallelism import Parallelism
from vsd.pruners.uniform import Uniform
from vsd.testing.books import books_hold, drafts_add_up
from vsd.testing.branches import Branches, probs_of
from vsd.testing.drafts import Guessing
from vsd.testing.models import FAMILY, PLAUSIBLE, QUESTION, TOKENS, ending_with, model_of, target_tokens, video
from vsd.testing.option import Option
from vsd.testing.small_model import SmallModel, distance, probs_of_target
from vsd.testing.small_sides import both_sides
from vsd.types import Draft, Output, Trace, Verdict, VerifierContext
from vsd.utils.probabilities import SamplingParams
from vsd.utils.random_source import RandomSource
from vsd.verifiers import Greedy
from vsd.verifiers.random_relax import RandomRelax
from vsd.verifiers.sampling import Sampling


@dataclass(frozen=True, kw_only=True)
class Checking(Greedy):
    """Greedy verification that checks its context, where the generation is `expected`."""

    expected: tuple[int, ...]

    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        tokens, nodes, rows = tuple(context.tokens), len(draft.tokens_N), output.logits_MW.shape[0]
        assert tokens == self.expected[: len(tokens)], f"tokens: must be those committed, got {tokens}"
        early = len(tokens) - sum(each.committed for each in context.rounds)
        assert early in (0, 1), f"rounds: must have committed all tokens but a first one, got {early} of none"
        assert context.left == len(self.expected) - len(tokens), f"left: got {context.left} behind {len(tokens)}"
        assert rows in (nodes, nodes + 1), f"the target must read all nodes but the last one, got {rows} rows"
        assert context.last_read == (rows == nodes + 1), f"last_read: got {context.last_read} for {rows} rows"
        return super().verify(draft, output, context, random)


def decoded(
    schedule: Parallelism, *, tree: bool = False, model: bool = False, end: int | None = None, **how: Any
) -> Trace:
    """A generation from guesses, half of them right, or drafted by the target itself on a pruned prompt."""
    target = model_of(FAMILY) if end is None else ending_with(model_of(FAMILY), end)
    options: dict[str, Any] = {"gamma": 4, "max_new_tokens": TOKENS} | how
    engine = Engine(
        target=target,
        draft=target if model else None,
        pruner=Uniform(ratio=0.2) if model else None,
        drafter=None if model else Guessing(vocab=PLAUSIBLE, tree=tree, known=target_tokens(FAMILY)),
        parallelism=schedule,
        executor=Inline(),
        **options,
    )
    return engine.run(video(), QUESTION, seed=2)


def _check(trace: Trace, expected: tuple[int, ...], what: str) -> None:
    assert trace.tokens == expected, f"{what}: must be {expected}, got {trace.tokens}"
    books_hold(trace, len(expected), None, what)
    drafts_add_up(trace, what)
    for each in trace.rounds:
        assert each.accepted <= each.committed <= each.accepted + 1, f"{what}: {each}"


def its_tokens_are_the_targets_own(option: Option) -> None:
    """For any gamma, with a model that drafts and without, with trees if it can use them."""
    schedule = option.method()
    for gamma in (1, 2, 5, 40) if schedule.drafts else (1,):
        _check(decoded(schedule, gamma=gamma), target_tokens(FAMILY), f"gamma={gamma}")
    _check(decoded(schedule, model=True), target_tokens(FAMILY), "a model that drafts")
    if schedule.drafts and not schedule.chains:
        _check(decoded(schedule, tree=True), target_tokens(FAMILY), "trees")


def its_generations_end_where_they_should(option: Option) -> None:
    """At the budget, and at an end of sequence, wherever in a draft it lies."""
    schedule, expected = option.method(), target_tokens(FAMILY)
    for limit in (1, 2, 3, 7):
        _check(decoded(schedule, max_new_tokens=limit), expected[:limit], f"max_new_tokens={limit}")
    for place in (0, 1, 6):
        trace = decoded(schedule, end=expected[place])
        _check(trace, expected[: expected.index(expected[place]) + 1], f"an end of sequence at {place}")
        assert trace.finish == "eos", f"must have ended with the end of sequence, got {trace.finish!r}"


def a_rule_is_told_what_is_so(option: Option) -> None:
    """Tokens, rounds, what is left, and whether the last node was read."""
    schedule = option.method()
    for gamma in (1, 3) if schedule.drafts else (1,):
        decoded(schedule, gamma=gamma, verifier=Checking(expected=target_tokens(FAMILY)))


def a_lossy_rule_keeps_its_books_under_it(option: Option) -> None:
    """Where tokens stand that are not the target's own, both sides go on behind them."""
    schedule = option.method()
    trace = decoded(schedule, verifier=RandomRelax(looseness=0.9))
    books_hold(trace, TOKENS, None, "a lossy rule")
    assert any(each.relaxed for each in trace.rounds) == schedule.drafts, "most guesses stand by such a rule"


def sampling_has_the_targets_probabilities_under_it(option: Option) -> None:
    """Every outcome of small distributions is gone through."""
    schedule, rule, length = option.method(), Sampling(temperature=1.0), 3
    for gamma in (1, 2) if schedule.drafts else (1,):

        def generation(random: Branches, gamma: int = gamma) -> tuple[int, ...]:
            session, writer = both_sides(
                SmallModel(1, 2),
                SmallModel(101, 2),
                rule,
                random,
                limit=1 + length,
                gamma=gamma,
                params=SamplingParams(temperature=1.7),
            )
            schedule.decode(session, writer if schedule.drafts else None)
            return tuple(session.generation.tokens[1:])

        off = distance(probs_of(generation), probs_of_target(rule, SmallModel(1, 2), length))
        assert off < 1e-12, f"gamma={gamma}: must give each text the target's own probability, got {off:.3g} off"


def it_says_where_drafts_are_made(option: Option) -> None:
    """The class's default is what the YAML chooses, so that a notebook's run is the command line's."""
    schedule: Parallelism = option.method()
    assert schedule.default_executor().concurrent or not schedule.overlaps, (
        f"{type(schedule).__name__}.default_executor: must let both sides work at once, got one that cannot"
    )


CHECKS = (
    its_tokens_are_the_targets_own,
    its_generations_end_where_they_should,
    a_rule_is_told_what_is_so,
    a_lossy_rule_keeps_its_books_under_it,
    sampling_has_the_targets_probabilities_under_it,
    it_says_where_drafts_are_made,
)
