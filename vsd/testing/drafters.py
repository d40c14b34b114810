"""What holds for every drafter."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from vsd.drafters.base import Drafter
from vsd.drafters.wrapper import DrafterWrapper
from vsd.engine import Engine
from vsd.evidence import in_decoding
from vsd.executors import Inline
from vsd.models import VideoLM
from vsd.models.cache import State
from vsd.models.tree import NO_DRAFT, chain, depths
from vsd.parallelism import PARALLELVLM, PEARL
from vsd.pruners.uniform import Uniform
from vsd.testing.books import books_hold, drafts_add_up
from vsd.testing.branches import Branches, probs_of
from vsd.testing.evidence import made_rows
from vsd.testing.models import (
    FAMILY,
    FAMILY_NAMES,
    QUESTION,
    TOKENS,
    ending_with,
    model_of,
    prompt_of,
    target_tokens,
    video,
)
from vsd.testing.option import Option
from vsd.testing.small_model import committed, distance, output_of
from vsd.types import Context, Draft, Evidence, Grid, Trace, VerifierContext
from vsd.utils.random_source import RandomSource
from vsd.verifiers import Greedy
from vsd.verifiers.random_relax import RandomRelax
from vsd.verifiers.sampling import Sampling


@dataclass(frozen=True, kw_only=True)
class Watched(DrafterWrapper):
    """Another drafter, each of whose drafts is looked at."""

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        before = list(context.tokens)
        draft = self.inner.propose(context, model, state, gamma, random)
        assert list(context.tokens) == before, f"{type(self.inner).__name__}.propose: must not change its context"
        check_draft(draft, self.inner, gamma, confidence=context.with_confidence)
        return draft


@dataclass(frozen=True, kw_only=True)
class GreedyByConfidence(Greedy):
    """Greedy verification that would look at the confidence of drafts."""

    needs_confidence: ClassVar[bool] = True


def check_draft(draft: Draft, drafter: Drafter, gamma: int, *, confidence: bool) -> None:
    """Raise AssertionError unless it is a draft as `Drafter.propose` has it."""
    name, count = f"{type(drafter).__name__}.propose", len(draft.tokens_N)
    for field, values in (("tokens_N", draft.tokens_N), ("parents_N", draft.parents_N)):
        assert values.dtype == torch.int64, f"{name}: {field} must be int64, got {values.dtype}"
        assert values.shape == (count,), f"{name}: {field} must have shape ({count},), got {tuple(values.shape)}"
    vocab = model_of(FAMILY).vocab
    outside = [token for token in draft.tokens if not 0 <= token < vocab]
    assert not outside, f"{name}: its tokens must lie in the vocabulary, [0, {vocab}), got {outside}"
    for node, parent in enumerate(draft.parents):
        assert -1 <= parent < node, f"{name}: the parent of node {node} must lie in [-1, {node}), got {parent}"
    if drafter.chains:
        rule = f"its class says that it drafts chains, whose parents are {chain(count)}"
        assert tuple(draft.parents) == chain(count), f"{name}: {rule}, got {draft.parents}"
    deep, most = max(depths(draft.parents), default=-1) + 1, min(gamma, drafter.depth(gamma))
    assert deep <= most, f"{name}: a draft must be at most {most} tokens deep for gamma={gamma}, got {deep}"
    nodes = drafter.nodes(gamma)
    assert count <= nodes, f"{name}: says that it has at most {nodes} nodes for gamma={gamma}, got {count}"
    _check_probabilities(draft, name, vocab, confidence=confidence and drafter.confident)


def _check_probabilities(draft: Draft, name: str, vocab: int, *, confidence: bool) -> None:
    count = len(draft.tokens_N)
    if draft.probs_NW is not None:
        probs_NW = draft.probs_NW.double()
        assert probs_NW.shape == (count, vocab), f"{name}: probs_NW must have shape ({count}, {vocab})"
        sums_N = probs_NW.sum(-1)
        assert (probs_NW >= 0).all(), f"{name}: probs_NW must be probabilities, got {float(probs_NW.min())}"
        assert ((sums_N - 1).abs() < 1e-5).all(), f"{name}: the rows of probs_NW must sum to 1, got {sums_N.tolist()}"
        own_N = probs_NW[torch.arange(count), draft.tokens_N]
        assert (own_N > 0).all(), f"{name}: a token must have been possible by probs_NW, got {own_N.tolist()}"
    if not confidence or not count:
        return
    rule = f"{name}: confidence_N must be a probability of each of {count} tokens where a rule looks at it"
    assert draft.confidence_N is not None, f"{rule}, got none"
    assert draft.confidence_N.shape == (count,), f"{rule}, got shape {tuple(draft.confidence_N.shape)}"
    assert ((draft.confidence_N >= 0) & (draft.confidence_N <= 1)).all(), f"{rule}, got {draft.confidence_N.tolist()}"


def decoded(drafter: Drafter, *, family: str = FAMILY, ratio: float = 0.2, end: int | None = None, **how: Any) -> Trace:
    """A generation whose drafts are looked at; the target drafts for itself on a pruned prompt."""
    model = model_of(family) if end is None else ending_with(model_of(family), end)
    options: dict[str, Any] = {"gamma": 4, "max_new_tokens": TOKENS} | how
    engine = Engine(target=model, draft=model, pruner=Uniform(ratio=ratio), drafter=Watched(inner=drafter), **options)
    return engine.run(video(), QUESTION, seed=1)


# Checks --------------------------------------------------------------------------------------------------------------


def its_drafts_are_drafts_and_the_tokens_the_targets_own(option: Option) -> None:
    """Trees of tokens of the vocabulary, no deeper than gamma and no larger than it says, for any gamma; both
    families."""
    drafter = option.method()
    for family, gamma in ((FAMILY_NAMES[0], 1), (FAMILY_NAMES[-1], 2), (FAMILY_NAMES[0], 5), (FAMILY_NAMES[-1], 40)):
        trace = decoded(drafter, family=family, gamma=gamma)
        _tokens_are_the_targets_own(trace, f"gamma={gamma}", family)
        _sums_hold(trace)


def _tokens_are_the_targets_own(trace: Trace, what: str, family: str = FAMILY) -> None:
    expected = target_tokens(family)
    assert trace.tokens == expected, f"{what}: must be {expected}, got {trace.tokens}"


def _sums_hold(trace: Trace) -> None:
    drafts_add_up(trace, "its rounds")
    books_hold(trace, len(trace.tokens), None, "its rounds")


def its_drafts_may_end_a_generation(option: Option) -> None:
    """At the budget, and at an end of sequence, wherever in a draft it lies."""
    drafter, expected = option.method(), target_tokens(FAMILY)
    for limit in (1, 2, 3):
        trace = decoded(drafter, max_new_tokens=limit)
        assert trace.tokens == expected[:limit], f"max_new_tokens={limit}: got {trace.tokens}"
    for place in (1, 6):
        trace = decoded(drafter, end=expected[place])
        tokens = expected[: expected.index(expected[place]) + 1]
        assert (trace.tokens, trace.finish) == (tokens, "eos"), f"must end with {expected[place]}, got {trace.tokens}"


def it_drafts_under_the_schedules_that_can_use_it(option: Option) -> None:
    """Behind tokens that are not verified yet, and before there is a first one, if it drafts chains."""
    drafter = option.method()
    for schedule in (PEARL, replace(PARALLELVLM, length="fixed")) if drafter.chains else ():
        trace = decoded(drafter, parallelism=schedule, executor=Inline())
        _tokens_are_the_targets_own(trace, f"{schedule}")
        _sums_hold(trace)


def one_visual_token_is_enough(option: Option) -> None:
    """Of a prompt that is pruned as far as it goes."""
    drafter = option.method()
    trace = decoded(drafter, ratio=0.999)
    _tokens_are_the_targets_own(trace, "one visual token")
    assert trace.kept == 1 or not drafter.needs_model, f"the draft must read one visual token, got {trace.kept}"


def where_draft_and_target_agree_most_drafts_stand(option: Option) -> None:
    """A model that drafts for itself on the whole prompt: where it asks one, four of five of its tokens are right."""
    drafter: Drafter = option.method()
    if drafter.needs_model:
        traces = [decoded(drafter, family=family, ratio=0.0, max_new_tokens=2 * TOKENS) for family in FAMILY_NAMES]
        rounds = [each for trace in traces for each in trace.rounds]
        drafted, accepted = sum(each.drafted for each in rounds), sum(each.accepted for each in rounds)
        assert accepted >= 0.8 * drafted, (
            f"of {drafted} tokens drafted by the target itself only {accepted} stand: does it read the tokens which "
            "`state` lacks, context.tokens[state.generated:], and is each parent the node that was read before?"
        )


def it_says_how_sure_it_is_if_it_says_so(option: Option) -> None:
    """A rule that looks at the confidence gets it of each token."""
    drafter: Drafter = option.method()
    if drafter.confident:
        trace = decoded(drafter, verifier=GreedyByConfidence())
        _tokens_are_the_targets_own(trace, "with a rule that looks at its confidence")


def a_lossy_rule_keeps_its_books(option: Option) -> None:
    """Where tokens stand that are not the target's own, the draft goes on behind them."""
    trace = decoded(option.method(), verifier=RandomRelax(looseness=0.9))
    _sums_hold(trace)
    assert len(trace.tokens) == TOKENS, f"must have {TOKENS} tokens, got {len(trace.tokens)}"


def it_is_the_same_again(option: Option) -> None:
    """It draws from `random` alone, and what it learns stands in `memory`: another run begins as the first did."""
    drafter: Drafter = option.method()
    before, state = repr(drafter), torch.random.get_rng_state()
    first, again = decoded(drafter).rounds[0], decoded(drafter).rounds[0]
    assert repr(drafter) == before, f"must not change, was {before}, is {drafter!r}"
    assert torch.equal(state, torch.random.get_rng_state()), "must draw from `random` alone"
    assert (first.drafted, first.accepted) == (again.drafted, again.accepted), f"got {first} and {again}"


def it_crosses_to_another_process(option: Option) -> None:
    """Where `executor=process` has it draft."""
    drafter = option.method()
    assert pickle.loads(pickle.dumps(drafter)) == drafter, f"{drafter!r}: must be equal when it has been pickled"


def it_needs_what_later_passes_have(option: Option) -> None:
    """A drafter gets a row for each token verified."""
    for need in sorted(option.method().needs - {"relevance"}):
        assert in_decoding(need), f"needs: must be of a kind that later passes have, got {need!r}"


def drawn_its_tokens_have_the_probabilities_it_says(option: Option) -> None:
    """At a temperature above 0 the rule of speculative sampling gives the target's own distribution exactly if each
    token was drawn from `probs_NW`. Every outcome is gone through."""
    if not option.takes("temperature"):
        return
    drafter: Drafter = option.method("temperature=1.3")
    rule, target = Sampling(temperature=1.0), _reader()
    state, _ = _two_tokens().prefill(prompt_of(FAMILY).keep(torch.arange(9)))
    for gamma in (1, 2) if drafter.nodes(2) <= 2 else (1,):
        context = Context(prompt=(), tokens=[0], evidence=made_rows(drafter.needs, 1), memory=drafter.memory())

        def generation(random: Branches, gamma: int = gamma, context: Context = context) -> tuple[int, ...]:
            state.rollback(state.prompt)
            draft = drafter.propose(context, _two_tokens(), state, gamma, random)
            output = output_of(target, draft)
            tokens = committed(draft, rule.verify(draft, output, _context(), random))
            while len(tokens) < gamma + 1:
                more = rule.verify(NO_DRAFT, output_of(target, NO_DRAFT, tokens), _context(), random)
                tokens = (*tokens, *committed(NO_DRAFT, more))
            return tokens

        ours = probs_of(generation)
        theirs = probs_of(lambda random, gamma=gamma: _drawn(target, rule, gamma + 1, random))  # type: ignore[misc]
        off = distance(ours, theirs)
        assert off < 1e-9, (
            f"{drafter!r}: each token must be drawn by `random.pick` from its row of probs_NW, or come without any "
            f"draw and with probs_NW None; the generation's probabilities are {off:.3g} off the target's"
        )


def _drawn(target: Callable[[tuple[int, ...]], Tensor], rule: Sampling, count: int, random: Branches) -> Any:
    tokens: tuple[int, ...] = ()
    for _ in range(count):
        tokens = (*tokens, random.pick(rule.probs(target(tokens)[None])[0]))
    return tokens


def _context() -> VerifierContext:
    return VerifierContext(evidence=Evidence(grid=Grid(1, 1, 1)), left=99)


@cache
def _two_tokens() -> VideoLM:
    """So few that every outcome can be gone through."""
    return model_of(FAMILY).narrow(2)


def _reader() -> Callable[[tuple[int, ...]], Tensor]:
    """The target's logits behind token 0 and a text."""
    model = _two_tokens()
    state, _ = model.prefill(prompt_of(FAMILY))

    @cache
    def logits(text: tuple[int, ...]) -> Tensor:
        state.rollback(state.prompt)
        count = len(text) + 1
        return model.forward(torch.tensor((0, *text)), chain(count), state).logits_MW[-1]

    return logits


CHECKS = (
    its_drafts_are_drafts_and_the_tokens_the_targets_own,
    its_drafts_may_end_a_generation,
    it_drafts_under_the_schedules_that_can_use_it,
    one_visual_token_is_enough,
    where_draft_and_target_agree_most_drafts_stand,
    it_says_how_sure_it_is_if_it_says_so,
    a_lossy_rule_keeps_its_books,
    it_is_the_same_again,
    it_crosses_to_another_process,
    it_needs_what_later_passes_have,
    drawn_its_tokens_have_the_probabilities_it_says,
)
