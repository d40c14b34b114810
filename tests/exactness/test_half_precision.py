"""bfloat16: read once more by the target, every token is the likeliest but for rounding; a fault is none of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch

from tests.conftest import Pair
from vsd.drafters import Chain, Drafter
from vsd.drafters.tree import Tree
from vsd.engine import Engine
from vsd.metrics import values_of
from vsd.metrics.audit import STEPS
from vsd.metrics.record import Record
from vsd.models import VideoLM, load
from vsd.models.tree import chain
from vsd.types import Draft, Output, Sample, Verdict, VerifierContext, Video
from vsd.utils.random_source import RandomSource
from vsd.verifiers.greedy import Greedy

QUESTIONS = ("a", "bb", "ccc", "dddd", "eeeee", "ffffff")
TOKENS = 32
LIMIT = STEPS[torch.bfloat16]


@dataclass(frozen=True, kw_only=True)
class Faulty(Greedy):
    """Greedy verification that ends a round with the least likely token where this many tokens are committed or more,
    and fewer than that and a round."""

    at: tuple[int, ...] = ()

    def verify(self, draft: Draft, output: Output, context: VerifierContext, random: RandomSource) -> Verdict:
        verdict = super().verify(draft, output, context, random)
        end = len(context.tokens) + len(verdict.path)
        if verdict.bonus is None or not any(len(context.tokens) <= place <= end for place in self.at):
            return verdict
        row = output.behind(verdict.path)
        assert row is not None
        return replace(verdict, bonus=int(output.logits_MW[row].argmin()))


@pytest.fixture(scope="module")
def half(pair: Pair) -> tuple[VideoLM, VideoLM]:
    target, draft = (load(str(path), dtype="bfloat16") for path in (pair.target_path, pair.draft_path))
    target.eos = draft.eos = frozenset()
    return target, draft


def gaps(target: VideoLM, video: Video, question: str, tokens: Sequence[int]) -> list[float]:
    """How far each token's logit lies below the largest, in steps of bfloat16 at the largest: all are read at once."""
    prompt = target.encode(video, question)
    state, first_W = target.prefill(prompt, capacity=prompt.length + len(tokens))
    rest_MW = target.forward(torch.tensor(tokens[:-1]), chain(len(tokens) - 1), state).logits_MW
    logits_MW = torch.cat((first_W[None], rest_MW)).double()
    largest = logits_MW.max(-1).values
    own = logits_MW[torch.arange(len(tokens)), torch.tensor(tokens)]
    return ((largest - own) / (2.0**-7 * largest.abs())).tolist()


def recorded(engine: Engine, video: Video, question: str) -> Record:
    trace, baseline = engine.run(video, question), engine.baseline().run(video, question)
    record = Record(sample=Sample(id=question, video=question, question=question), trace=trace, baseline=baseline)
    if not record.mismatched:
        return record
    return replace(record, audit=engine.audit(video, question, trace.tokens, baseline.tokens))


@pytest.mark.parametrize("drafter", [Chain(), Tree()], ids=["chain", "tree"])
def test_each_token_is_the_likeliest_but_for_rounding(
    drafter: Drafter, half: tuple[VideoLM, VideoLM], video: Video
) -> None:
    target, draft = half
    engine = Engine(target=target, draft=draft, drafter=drafter, max_new_tokens=TOKENS)
    records = [recorded(engine, video, question) for question in QUESTIONS]
    found = [gaps(target, video, record.sample.question, record.trace.tokens) for record in records if record.trace]
    assert max(max(each) for each in found) <= LIMIT
    assert sum(gap == 0 for each in found for gap in each) > 0.9 * len(QUESTIONS) * TOKENS
    values = values_of(records)
    assert (values["exact/violations"], values["exact/unexplained"]) == (0, 0)
    assert values["exact/near_tie"] == values["exact/mismatched"] == sum(record.mismatched for record in records)


@pytest.mark.parametrize("at", [(0,), (9,), (4, 20)])
def test_a_token_that_is_not_the_targets_is_a_violation(
    at: tuple[int, ...], half: tuple[VideoLM, VideoLM], video: Video
) -> None:
    target, draft = half
    engine = Engine(target=target, draft=draft, gamma=2, max_new_tokens=TOKENS, verifier=Faulty(at=at))
    record = recorded(engine, video, QUESTIONS[0])
    assert record.trace is not None
    faults = [gap > LIMIT for gap in gaps(target, video, QUESTIONS[0], record.trace.tokens)]
    values = values_of([record])
    assert values["exact/violations"] == sum(faults) >= len(at)
    assert (values["exact/mismatched"], values["exact/near_tie"], values["exact/unexplained"]) == (1, 0, 1)


def test_a_fault_behind_a_near_tie_is_found(half: tuple[VideoLM, VideoLM], video: Video) -> None:
    target, draft = half
    engine = Engine(target=target, draft=draft, max_new_tokens=TOKENS)
    baseline = engine.baseline().run(video, QUESTIONS[0]).tokens
    found = engine.audit(video, QUESTIONS[0], (*baseline[:-1], (baseline[-1] + 1) % target.vocab), baseline)
    assert (found.place, found.violations, found.explained) == (TOKENS - 1, 1, False)
    near = replace(found, gap=0.5 * LIMIT * found.step, violations=0)
    assert near.explained
    assert not replace(near, violations=1).explained
