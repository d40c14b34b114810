"""What holds for every verifier."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from vsd.engine import Engine
from vsd.executors import Inline
from vsd.models.tree import NO_DRAFT, chain
from vsd.parallelism import PARALLELVLM, PEARL, Parallelism, Sequential
from vsd.testing.books import books_hold
from vsd.testing.branches import Branches, probs_of
from vsd.testing.cases import Case, cases, context_of
from vsd.testing.drafts import Guessing
from vsd.testing.evidence import made_rows
from vsd.testing.models import (
    FAMILY,
    PLAUSIBLE,
    QUESTION,
    TOKENS,
    ending_with,
    model_of,
    prompt_of,
    target_tokens,
    video,
)
from vsd.testing.option import Option
from vsd.testing.small_model import SmallModel, committed, distance, output_of, propose
from vsd.types import Draft, Trace, Verdict
from vsd.utils.probabilities import SamplingParams
from vsd.utils.random_source import RandomSource
from vsd.verifiers import Greedy, Verifier

EXAMPLE = """    strict: ClassVar[Mapping[str, Any]] = {"looseness": 0.0}
    loose: ClassVar[Mapping[str, Any]] = {"looseness": 0.9}"""


def settings(option: Option) -> dict[str, Verifier]:
    """The rule as its YAML has it, strict, loose if it is not lossless, and drawing if it takes a temperature."""
    rule: Verifier = option.method()
    made = {"as its YAML has it": rule, "strict": _with(rule, rule.strict)}
    if not rule.lossless:
        made["loose"] = _with(rule, rule.loose)
    if option.takes("temperature"):
        made["drawn"] = option.method("temperature=1.3", "top_p=0.9", "top_k=4")
    return made


def _with(rule: Verifier, fields: Mapping[str, Any]) -> Verifier:
    changed: Verifier = dataclasses.replace(rule, **fields)  # type: ignore[type-var]
    return changed


def greedy_otherwise(rule: Verifier) -> bool:
    """Whether what the rule adds itself is the target's argmax."""
    return rule.alone() == Greedy()


# Of verdicts ---------------------------------------------------------------------------------------------------------


def it_names_a_strict_and_a_loose_setting(option: Option) -> None:
    """A lossy rule says how it is to be tested."""
    rule: Verifier = option.method()
    known = {field.name for field in dataclasses.fields(rule)}  # type: ignore[arg-type]
    for name in ("strict", "loose"):
        fields = getattr(rule, name)
        assert rule.lossless or fields, (
            f"{type(rule).__name__}.{name}: a rule that is not lossless must name the fields under which it is "
            f"{'greedy verification' if name == 'strict' else 'loose'}, as in\n\n{EXAMPLE}\n\ngot none"
        )
        assert set(fields) <= known, (
            f"{type(rule).__name__}.{name}: must be of its fields {sorted(known)}, got {fields}"
        )


def strict_it_is_greedy(option: Option) -> None:
    """Only the target's own tokens stand, and nothing is said to be relaxed."""
    rule = settings(option)["strict"]
    for case in cases(rule, count=12):
        verdict = case.judged(rule)
        tokens = [case.draft.tokens[node] for node in verdict.path]
        assert not any(case.differs(verdict)), f"{rule}: must let the target's own tokens stand alone, got {tokens}"
        assert not any(verdict.relaxed), f"{rule}: must relax nothing, got {verdict.relaxed}"
        _bonus_is_the_argmax(case, verdict, rule)


def loose_it_lets_other_tokens_stand(option: Option) -> None:
    """On made drafts, half of whose tokens are wrong: or its tests would say nothing."""
    rule = settings(option).get("loose")
    if rule is not None:
        relaxed = sum(sum(case.differs(case.judged(rule))) for case in cases(rule, count=12))
        assert relaxed >= 12, (
            f"{rule}: must let tokens stand that are not the target's own, got {relaxed} in 200 drafts"
        )


def its_verdict_is_a_path_and_a_bonus_token(option: Option) -> None:
    """For chains, trees and drafts of nothing; behind a node that was not read nothing is said."""
    for rule in settings(option).values():
        for case in cases(rule):
            verdict = case.judged(rule)
            if greedy_otherwise(rule):
                _bonus_is_the_argmax(case, verdict, rule)


def _bonus_is_the_argmax(case: Case, verdict: Verdict, rule: Verifier) -> None:
    row = case.output.behind(verdict.path)
    if row is not None:
        own = int(case.output.logits_MW[row].argmax())
        assert verdict.bonus == own, f"{rule}: its bonus token must be the target's own, {own}, got {verdict.bonus}"


def it_says_which_tokens_are_relaxed(option: Option) -> None:
    """Those that differ from the target's own, with how much likelier that one was."""
    for rule in settings(option).values():
        for case in cases(rule, count=8):
            verdict = case.judged(rule)
            differs = case.differs(verdict) if greedy_otherwise(rule) else (False,) * len(verdict.path)
            if rule.lossless and not verdict.relaxed:
                continue
            assert verdict.relaxed == differs, (
                f"{rule}: `relaxed` must say of each token of the path whether it differs from the target's own, "
                f"{differs}, got {verdict.relaxed}"
            )
            if verdict.gaps:
                expected = _gaps(case, verdict)
                assert len(verdict.gaps) == len(expected), f"{rule}: `gaps` must have one of each token of the path"
                torch.testing.assert_close(torch.tensor(verdict.gaps), torch.tensor(expected), rtol=1e-5, atol=1e-6)


def _gaps(case: Case, verdict: Verdict) -> list[float]:
    probs_MW = case.output.logits_MW.double().softmax(-1)
    rows = [case.draft.parents[node] + 1 for node in verdict.path]
    pairs = zip(verdict.path, rows, strict=True)
    return [float(probs_MW[row].max() - probs_MW[row, case.draft.tokens[node]]) for node, row in pairs]


def it_is_a_pure_function(option: Option) -> None:
    """The same draft and draws give the same verdict, and neither what it is shown nor the global random stream
    changes."""
    for rule in settings(option).values():
        for case in cases(rule, count=2):
            before, state = copy.deepcopy(case), torch.random.get_rng_state()
            first, again = case.judged(rule, seed=5), case.judged(rule, seed=5)
            assert first == again, f"{rule}: must judge the same draft alike, got {first} and {again}"
            assert torch.equal(state, torch.random.get_rng_state()), f"{rule}: must draw from `random` alone"
            same = (
                torch.equal(before.output.logits_MW, case.output.logits_MW)
                and torch.equal(before.draft.tokens_N, case.draft.tokens_N)
                and list(before.context.tokens) == list(case.context.tokens)
                and before.context.rounds == case.context.rounds
                and all(torch.equal(rows, case.output.evidence[name]) for name, rows in before.output.evidence.items())
            )
            assert same, f"{rule}: must not change what it is shown"


def it_works_in_half_precision(option: Option) -> None:
    """Logits come in the run's dtype."""
    for rule in settings(option).values():
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            for case in cases(rule, count=1, dtype=dtype):
                case.judged(rule)


def lossless_it_has_the_probabilities_of_the_target(option: Option) -> None:
    """Every outcome of small distributions is gone through: those of the first tokens are, to 1e-12, what the target
    draws alone. A rule that draws nothing is token-identical."""
    for rule in settings(option).values():
        for parents, vocab in (((-1, 0), 3), ((-1, -1, 0), 3)) if rule.lossless else ():
            for drawn in (SamplingParams(), SamplingParams(temperature=1.7)):
                ours = _probs_of_generations(rule, parents, vocab, drawn)
                alone = _probs_of_generations(rule.alone(), (), vocab, drawn)
                off = distance(ours, alone)
                assert off < 1e-12, (
                    f"{rule}: says that it is lossless, so it must give each text the target's own probability, "
                    f"got {off:.3g} off for a draft of parents {parents}, drawn at temperature {drawn.temperature}"
                )
                if rule.deterministic:
                    assert len(alone) == 1, f"{rule}: says that it is deterministic, got {len(alone)} generations"
                    assert alone == _probs_of_generations(Greedy(), (), vocab, drawn), f"{rule}: must be greedy alone"


def _probs_of_generations(
    rule: Verifier, parents: tuple[int, ...], vocab: int, drawn: SamplingParams
) -> dict[tuple[int, ...], float]:
    """The distribution of three tokens: of what stands of a draft, and of what the target alone adds to it."""
    target, draft, alone = SmallModel(3, vocab), SmallModel(103, vocab), rule.alone()

    def judged(rule: Verifier, drafted: Draft, text: tuple[int, ...], random: RandomSource) -> tuple[int, ...]:
        output = output_of(target, drafted, text)
        rows = made_rows(rule.needs, len(output.logits_MW))
        context = dataclasses.replace(context_of(rule, 0, rows), tokens=list(text))
        shown = dataclasses.replace(output, evidence=rows)
        return committed(drafted, rule.verify(drafted, shown, context, random))

    def generation(random: Branches) -> tuple[int, ...]:
        drafted = propose(draft, parents, drawn, random) if parents else NO_DRAFT
        if rule.needs_confidence:
            drafted = dataclasses.replace(drafted, confidence_N=torch.full((len(parents),), 0.5))
        tokens = judged(rule, drafted, (), random)
        while len(tokens) < 3:
            tokens = (*tokens, *judged(alone, NO_DRAFT, tokens, random))
        return tokens[:3]

    return probs_of(generation)


# Of generations ------------------------------------------------------------------------------------------------------

SCHEDULES: tuple[tuple[Parallelism, bool], ...] = (
    (Sequential(), False),
    (Sequential(), True),
    (PEARL, False),
    (dataclasses.replace(PARALLELVLM, length="fixed"), False),
)
"""With chains or with trees."""


def generation(
    rule: Verifier, schedule: Parallelism, *, tree: bool, end: int | None = None, limit: int = TOKENS
) -> Trace:
    """What comes of guesses, half of them right as long as the generation is the target's own; `end` is a token that
    ends it."""
    target = model_of(FAMILY) if end is None else ending_with(model_of(FAMILY), end)
    engine = Engine(
        target=target,
        drafter=Guessing(vocab=PLAUSIBLE, tree=tree, known=target_tokens(FAMILY)),
        verifier=rule,
        parallelism=schedule,
        executor=Inline(),
        gamma=4,
        max_new_tokens=limit,
    )
    return engine.run(video(), QUESTION, seed=1)


def strict_it_is_token_identical(option: Option) -> None:
    """Under every schedule, chains and trees; also where the generation ends within a draft."""
    rule, expected = settings(option)["strict"], target_tokens(FAMILY)
    for schedule, tree in SCHEDULES:
        trace = generation(rule, schedule, tree=tree)
        assert trace.tokens == expected, f"{rule}, {schedule}: must be {expected}, got {trace.tokens}"
        assert not any(each.relaxed for each in trace.rounds), f"{rule}, {schedule}: must relax nothing"
    end = expected.index(expected[5]) + 1
    for schedule, tree in SCHEDULES[1:3]:
        trace = generation(rule, schedule, tree=tree, end=expected[5])
        assert (trace.tokens, trace.finish) == (expected[:end], "eos"), f"{rule}: must end with the end of sequence"


def loose_its_books_hold(option: Option) -> None:
    """Under every schedule, chains and trees: the rounds add up, exactly the budget is generated, nothing stands behind
    an end of sequence, and the tokens said to be relaxed are those that the target would not have said."""
    rule = settings(option).get("loose", option.method())
    for number, (schedule, tree) in enumerate(SCHEDULES):
        for limit, end in ((TOKENS, None), (TOKENS, target_tokens(FAMILY)[5]) if number % 2 else (3, None)):
            trace = generation(rule, schedule, tree=tree, end=end, limit=limit)
            books_hold(trace, limit, end, f"{rule}, {schedule}")
            if greedy_otherwise(rule):
                relaxed, others = sum(len(each.relaxed) for each in trace.rounds), others_than_own(trace.tokens)
                assert relaxed == others, (
                    f"{rule}, {schedule}: {others} of {trace.tokens} are not what the target would have said there, "
                    f"but {relaxed} are said to be relaxed"
                )


def others_than_own(tokens: tuple[int, ...]) -> int:
    """How many of the tokens the target would not have said behind those before them, by one pass over all."""
    model = model_of(FAMILY)
    state, first_W = model.prefill(prompt_of(FAMILY))
    logits_MW = torch.cat((first_W[None], model.forward(torch.tensor(tokens), chain(len(tokens)), state).logits_MW))
    return int((logits_MW[:-1].argmax(-1) != torch.tensor(tokens)).sum())


CHECKS = (
    it_names_a_strict_and_a_loose_setting,
    strict_it_is_greedy,
    loose_it_lets_other_tokens_stand,
    its_verdict_is_a_path_and_a_bonus_token,
    it_says_which_tokens_are_relaxed,
    it_is_a_pure_function,
    it_works_in_half_precision,
    lossless_it_has_the_probabilities_of_the_target,
    strict_it_is_token_identical,
    loose_its_books_hold,
)
