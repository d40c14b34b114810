"""Drafters without a model or around another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from tests.conftest import Pair
from vsd.drafters import Chain, Drafter
from vsd.drafters.adaptive import PROBE_EVERY, PROBES, Adaptive, Pace, best_gamma
from vsd.drafters.prompt_lookup import PromptLookup, continuation
from vsd.drafters.relevance_cut import RelevanceCut
from vsd.drafters.viskip import ViSkip
from vsd.engine import Engine
from vsd.executors import Inline, Thread
from vsd.models import State, VideoLM
from vsd.parallelism import Parallel, Parallelism, Sequential
from vsd.types import Context, Draft, Round, Video
from vsd.utils.random_source import RandomSource, SeededRandom


@dataclass(frozen=True, kw_only=True)
class Sevens(Drafter):
    needs_model: ClassVar[bool] = False

    def propose(
        self, context: Context, model: VideoLM | None, state: State | None, gamma: int, random: RandomSource
    ) -> Draft:
        return Draft(tokens_N=torch.full((gamma,), 7), parents_N=torch.arange(-1, gamma - 1))


def drafted(drafter: Drafter, context: Context, gamma: int = 5) -> list[int]:
    return drafter.propose(context, None, None, gamma, SeededRandom(0)).tokens_N.tolist()


def a_round(**values: Any) -> Round:
    return Round(**({"drafted": 5, "nodes": 5, "accepted": 5, "committed": 6, "rejected": False} | values))


@pytest.mark.parametrize(
    ("tokens", "count", "found"),
    [
        ([1, 2, 3, 4, 1, 2, 3], 3, [4, 1, 2]),
        ([1, 2, 3, 4, 5, 3], 2, [4, 5]),
        ([5, 1, 6, 1, 7, 1], 1, [7]),  # the latest occurrence
        ([9, 3, 1, 3, 2, 9, 3], 1, [1]),  # the longest match before the latest
        ([1, 2, 3], 3, []),
        ([1], 3, []),
    ],
)
def test_lookup(tokens: list[int], count: int, found: list[int]) -> None:
    assert continuation(tokens, 3, 1, count) == found


def test_lookup_reads_the_question_too() -> None:
    assert drafted(PromptLookup(), Context(prompt=(4, 5, 6, 8), tokens=[5, 6]), 1) == [8]
    assert drafted(PromptLookup(), Context(prompt=(), tokens=[5, 6])) == []


def test_relevance_cut_drafts_little_where_the_video_matters() -> None:
    def length(share: float, *relevance: float) -> int:
        rounds = [a_round(evidence={"relevance": part}) for part in (relevance[:2], relevance[2:])] if relevance else []
        return len(drafted(RelevanceCut(inner=Sevens(), share=share), Context(prompt=(), tokens=[1], rounds=rounds)))

    assert length(0.4) == 5
    assert length(0.4, 0.1, 0.2, 0.3, 0.5, 0.4) == 1  # only one of five matters more: among the first two
    assert length(0.4, 0.1, 0.6, 0.3, 0.5, 0.4) == 5
    assert length(0.0, 0.1, 0.2, 0.3, 0.5, 0.9) == 5
    assert length(1.0, 0.9, 0.2, 0.3, 0.5, 0.1) == 1


@pytest.mark.parametrize(("mass", "count"), [(None, 5), (0.0, 5), (0.3499, 5), (0.35, 0), (0.6, 0), (1.0, 0)])
def test_viskip_drafts_nothing_from_its_threshold_on(mass: float | None, count: int) -> None:
    context = seen() if mass is None else seen(0.9 - mass, mass)  # only the last one counts
    assert len(drafted(ViSkip(inner=Sevens()), context)) == count
    assert len(drafted(ViSkip(inner=Sevens(), threshold=1.1), context)) == 5
    assert not drafted(ViSkip(inner=Sevens(), threshold=0), seen(0.0))


def seen(*masses: float) -> Context:
    """The context behind tokens of these attention masses."""
    evidence = {"visual_mass": torch.tensor(masses, dtype=torch.float64)} if masses else {}
    return Context(prompt=(), tokens=[1] * max(len(masses), 1), evidence=evidence)


def test_viskip_asks_for_the_mass_and_for_what_it_asks() -> None:
    assert ViSkip(inner=Chain()).needs == {"visual_mass"}
    assert ViSkip(inner=RelevanceCut(inner=Chain())).needs == {"visual_mass", "relevance"}
    with pytest.raises(ValueError, match=r"^drafter.threshold: must be a number, at least 0, got -0.1$"):
        ViSkip(inner=Chain(), threshold=-0.1)


def test_the_best_gamma_follows_cost_and_acceptance() -> None:
    flat, cheap, dear = ([1.0 + cost * gamma for gamma in range(1, 11)] for cost in (0.0, 0.1, 0.5))
    assert best_gamma(0.0, cheap) == 1
    assert best_gamma(1.0, cheap) == best_gamma(0.5, flat) == 10
    assert best_gamma(0.8, cheap) > best_gamma(0.5, cheap)
    assert best_gamma(0.8, dear) < best_gamma(0.8, cheap)
    # (1 + a) / 1.5 = 1.067 and (1 + a + a^2) / 2 = 0.98 for a = 0.6
    assert best_gamma(0.6, dear) == 1
    assert best_gamma(0.9, [1.5, 2.0]) == 2


def test_the_pace_comes_from_the_rounds() -> None:
    pace = Pace()
    for gamma in (2, 4, 6):
        times = {"draft_s": 0.1 * gamma, "verify_s": 1 + 0.2 * gamma}
        pace.see(a_round(drafted=gamma, accepted=gamma - 1, rejected=True, **times))
    pace.see(a_round(drafted=0, accepted=0, draft_s=99.0))
    assert pace.rounds == 3
    assert pace.alpha == pytest.approx((9 + 2) / (12 + 4), rel=0.01)
    assert pace.round_s(3) == pytest.approx([1.3, 1.6, 1.9])


def test_one_slow_round_does_not_change_the_pace() -> None:
    pace = Pace()
    for hiccup in (0.0, 0.0, 50.0, 0.0, 0.0):
        for gamma in (1, 3):
            pace.see(a_round(drafted=gamma, accepted=gamma, verify_s=1.0 + gamma + hiccup))
    assert pace.round_s(2) == pytest.approx([2.0, 3.0])


def test_adaptive_tries_both_ends_and_then_what_pays() -> None:
    drafter, lengths = Adaptive(inner=Sevens()), list[int]()
    memory = drafter.memory()
    for _ in range(PROBE_EVERY + 3):
        lengths.append(len(drafted(drafter, Context(prompt=(), tokens=[1], memory=memory))))
        round = a_round(drafted=lengths[-1], accepted=0, committed=1, rejected=True, draft_s=lengths[-1], verify_s=1.0)
        drafter.learn([round], memory)
    assert lengths == [5, 1] * (PROBES // 2) + [1] * (PROBE_EVERY - PROBES) + [5, 1, 1]


def test_adaptive_notices_when_drafts_get_better() -> None:
    drafter = Adaptive(inner=Sevens())
    memory = drafter.memory()
    for accepted in (0, 5):
        rounds = [
            a_round(
                drafted=gamma, accepted=accepted and gamma, rejected=not accepted, draft_s=0.1 * gamma, verify_s=1.0
            )
            for gamma in (1, 5) * 300
        ]
        drafter.learn(rounds[:599], memory)
        assert len(drafted(drafter, Context(prompt=(), tokens=[1], memory=memory))) == (5 if accepted else 1)


@pytest.mark.parametrize("schedule", [Sequential(), Parallel()], ids=["sequential", "parallel"])
def test_every_round_is_learnt_from_once(
    pair: Pair, video: Video, schedule: Parallelism, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafter = Adaptive(inner=RelevanceCut(inner=Adaptive(inner=Chain())))  # whatever stands between
    told, learn = list[tuple[int, int]](), Pace.see

    def see(pace: Pace, round: Round) -> None:
        learn(pace, round)
        told.append((id(pace), round.drafted))

    monkeypatch.setattr(Pace, "see", see)
    executor = Thread() if schedule.overlaps else Inline()
    how: dict[str, Any] = {"drafter": drafter, "parallelism": schedule, "executor": executor}
    run = Engine(target=pair.target, draft=pair.draft, **how, gamma=3, max_new_tokens=3)
    rounds = [each for _ in range(4) for each in run.run(video, "What?").rounds]
    run.close()
    paces = {pace for pace, _ in told}
    assert len(paces) == 2
    for pace in paces:
        assert [drafts for each, drafts in told if each == pace] == [each.drafted for each in rounds]
    assert any(each.drafted for each in rounds)


def test_what_a_drafter_remembers_is_the_runs(pair: Pair, video: Video) -> None:
    drafter = Adaptive(inner=Chain())
    before = repr(drafter), hash(drafter)
    options: dict[str, Any] = {
        "target": pair.target,
        "draft": pair.draft,
        "drafter": drafter,
        "gamma": 5,
        "max_new_tokens": 12,
    }
    firsts = [Engine(**options).run(video, "What?").rounds[0].drafted for _ in range(2)]
    assert firsts == [5, 5]  # each run begins with the longest draft, whatever another one has learnt
    assert (repr(drafter), hash(drafter)) == before
    assert drafter.memory() == Adaptive(inner=Chain()).memory() == Pace()


def test_a_chain_stops_where_it_is_unsure(pair: Pair, video: Video) -> None:
    state, _ = pair.draft.prefill(pair.draft.encode(video, "What?"))
    draft = Chain(confidence=1.0).propose(Context(prompt=(), tokens=[9]), pair.draft, state, 6, SeededRandom(0))
    assert len(draft.tokens_N) == 1


def test_a_drawn_chain_carries_its_probabilities(pair: Pair, video: Video) -> None:
    state, _ = pair.draft.prefill(pair.draft.encode(video, "What?"))
    drafter = Chain(temperature=1.0, top_k=5)
    draft = drafter.propose(Context(prompt=(), tokens=[9]), pair.draft, state, 4, SeededRandom(0))
    assert draft.probs_NW is not None
    assert draft.probs_NW.shape == (4, pair.draft.vocab)
    assert ((draft.probs_NW > 0).sum(-1) == 5).all()
    assert (draft.probs_NW[torch.arange(4), draft.tokens_N] > 0).all()


def test_a_trimmed_head_says_the_same_tokens(pair: Pair, video: Video) -> None:
    tokens = [3, 9, 40, 101]
    prompt = pair.draft.encode(video, "What?")
    whole_W = pair.draft.prefill(prompt)[1]
    trimmed = pair.draft.trim(tokens)
    some_W = trimmed.prefill(prompt)[1]
    torch.testing.assert_close(some_W[tokens], whole_W[tokens])
    assert some_W.isneginf().sum() == pair.draft.vocab - 4
    assert trimmed.narrow(50).prefill(prompt)[1].isfinite().nonzero()[:, 0].tolist() == [3, 9, 40]
    with pytest.raises(ValueError, match=r"^tokens: must be ids in"):
        pair.draft.trim([pair.draft.vocab])
