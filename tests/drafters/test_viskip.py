"""ViSkip: its attention mass is that of transformers' own eager attention, and a round without a draft follows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.collected import collected, collector_of
from tests.conftest import Pair
from vsd.drafters import Chain, Drafter
from vsd.drafters.tree import Tree
from vsd.drafters.viskip import ViSkip
from vsd.engine import Engine
from vsd.evidence.visual_mass import VisualMass
from vsd.executors import Executor, Inline, Thread
from vsd.models.tree import ancestors, chain
from vsd.parallelism import PARALLELVLM, Parallel, Parallelism, Sequential
from vsd.pruners.specvlm import SpecVLM
from vsd.pruners.uniform import Uniform
from vsd.types import Prompt, Round, Trace, Video

QUESTION = "What moves, and what moves?"
TOKENS = 20
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-7}  # transformers' eager attention has its softmax in float32


@pytest.fixture(scope="module")
def prompt(pair: Pair, video: Video) -> Prompt:
    return pair.target.encode(video, QUESTION)


def eager_masses(pair: Pair, prompt: Prompt, tokens: Sequence[int]) -> Tensor:
    """By transformers' own attention weights: the last layer's sum over the visual tokens, mean over the heads, of the
    prompt's last token and of each of these tokens behind it."""
    text, ids_M = pair.target.text, torch.tensor(tokens, dtype=torch.long)
    more_PM = prompt.next_position + torch.arange(len(tokens)).expand(len(prompt.positions_PT), -1)
    positions_PT = torch.cat((prompt.positions_PT, more_PM), dim=1)
    text.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            out = text(
                inputs_embeds=torch.cat((prompt.embeds_TD, text.embed_tokens(ids_M)))[None],
                position_ids=positions_PT[:, None] if len(positions_PT) > 1 else positions_PT,
                output_attentions=True,
            )
    finally:
        text.set_attn_implementation("vsd")
    mass_HM: Tensor = out.attentions[-1][0, :, prompt.length - 1 :, prompt.visual_V].sum(-1)
    return mass_HM.mean(0)


@pytest.mark.parametrize("attention", [False, True], ids=["in one pass", "in two"])
def test_the_mass_of_the_prompts_last_token(pair: Pair, prompt: Prompt, attention: bool) -> None:
    want = {"visual_mass", "attention"} if attention else {"visual_mass"}
    evidence = collected(pair.target, prompt, want)[2]
    torch.testing.assert_close(evidence["visual_mass"], eager_masses(pair, prompt, ()).item(), **CLOSE)


@pytest.mark.parametrize("parents", [chain(1), chain(4), (-1, 0, 0, 0, 1, 2, 5)], ids=["one", "chain", "tree"])
def test_the_mass_of_every_node(pair: Pair, prompt: Prompt, parents: tuple[int, ...]) -> None:
    before, ids = [7, 9], torch.tensor([11, 20, 30, 40, 50, 60, 70][: len(parents)])
    state, _ = pair.target.prefill(prompt)
    pair.target.forward(torch.tensor(before), chain(2), state)
    state.commit((0, 1))
    collector = collector_of(pair.target, prompt, {"visual_mass"}, in_passes={"visual_mass"})
    mass_M = pair.target.forward(ids, parents, state, collector=collector).evidence["visual_mass"]
    assert mass_M.shape == (len(parents),)
    for node, above in enumerate(ancestors(parents)):
        expected = eager_masses(pair, prompt, [*before, *ids[above].tolist()])[-1].item()
        torch.testing.assert_close(mass_M[node].item(), expected, **CLOSE)


def run(
    pair: Pair,
    video: Video,
    threshold: float,
    schedule: Parallelism,
    inner: Drafter = Chain(),  # noqa: B008 - frozen
    *,
    executor: Executor | None = None,
) -> Trace:
    engine = Engine(
        target=pair.target,
        draft=pair.draft,
        pruner=Uniform(ratio=0.5),
        drafter=ViSkip(inner=inner, threshold=threshold),
        parallelism=schedule,
        executor=executor,
        gamma=4,
        max_new_tokens=TOKENS,
    )
    trace = engine.run(video, QUESTION)
    engine.close()
    return trace


@pytest.fixture(scope="module")
def expected(pair: Pair, video: Video) -> Trace:
    return Engine(target=pair.target, draft=pair.draft, max_new_tokens=TOKENS).baseline().run(video, QUESTION)


@pytest.fixture(scope="module")
def masses(pair: Pair, prompt: Prompt, expected: Trace) -> list[float]:
    """Of the prompt's last token and of the generation's tokens."""
    return eager_masses(pair, prompt, expected.tokens).tolist()


def middle(masses: list[float]) -> float:
    """A threshold that lies between two of them, half of them on either side."""
    ranked = sorted(masses)
    return sum(ranked[len(ranked) // 2 :][:2]) / 2


def verified(rounds: Sequence[Round]) -> list[int]:
    """The last position that each round verified, as a place in `masses`."""
    first = TOKENS - sum(each.committed for each in rounds)  # these come from the prefill
    ends = [first + sum(each.committed for each in rounds[: count + 1]) for count in range(len(rounds))]
    return [end - 1 for end in ends]


def recorded(rounds: Sequence[Round]) -> list[float]:
    """The masses of all tokens that rounds committed."""
    assert all(len(each.evidence["visual_mass"]) == each.committed for each in rounds)
    return [mass for each in rounds for mass in each.evidence["visual_mass"]]


@pytest.mark.parametrize("inner", [Chain(), Tree()], ids=["chain", "tree"])
def test_a_round_is_skipped_where_the_mass_reaches_the_threshold(
    pair: Pair, video: Video, expected: Trace, masses: list[float], inner: Drafter
) -> None:
    threshold = middle(masses)
    trace = run(pair, video, threshold, Sequential(), inner)
    assert trace.tokens == expected.tokens
    places = verified(trace.rounds)
    torch.testing.assert_close(recorded(trace.rounds), masses[1:TOKENS], **CLOSE)
    for each, place in zip(trace.rounds[:-1], [0, *places[:-1]], strict=False):
        assert (each.drafted == 0) == (masses[place] >= threshold)
    assert any(each.drafted == 0 for each in trace.rounds[:-1])
    assert any(each.drafted for each in trace.rounds)


@pytest.mark.parametrize("threshold", [0.0, 1.1])
def test_at_the_ends_it_never_drafts_or_always(pair: Pair, video: Video, expected: Trace, threshold: float) -> None:
    trace = run(pair, video, threshold, Sequential())
    assert trace.tokens == expected.tokens
    assert all((each.drafted == 0) == (threshold == 0) for each in trace.rounds[:-1])


CHOICES = [Parallel(pre_verify=pre, post_verify=post) for pre in (True, False) for post in (True, False)]


@pytest.mark.parametrize("executor", [Inline(), Thread()], ids=["inline", "thread"])
@pytest.mark.parametrize("schedule", [*CHOICES, PARALLELVLM], ids=repr)
def test_under_parallel_schedules_the_tokens_are_the_same(
    pair: Pair, video: Video, expected: Trace, masses: list[float], schedule: Parallel, executor: Executor
) -> None:
    for threshold in (0.0, middle(masses), 1.1):
        trace = run(pair, video, threshold, schedule, executor=executor)
        assert trace.tokens == expected.tokens
        early = int(schedule.early_draft)  # the first window tests its first token with the prefill's logits
        torch.testing.assert_close(recorded(trace.rounds), masses[1 - early : TOKENS], **CLOSE)
        if threshold == 0:
            assert not any(each.proposed for each in trace.rounds[early + 1 :])
        assert sum(each.proposed for each in trace.rounds) == sum(each.wasted + each.accepted for each in trace.rounds)


def test_it_is_computed_only_where_it_is_asked_for(pair: Pair, video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("nobody asked for it")

    monkeypatch.setattr(VisualMass, "pass_attention", refused)
    engine = Engine(target=pair.target, draft=pair.draft, pruner=SpecVLM(ratio=0.5), max_new_tokens=TOKENS)
    assert all("visual_mass" not in each.evidence for each in engine.run(video, QUESTION).rounds)
    with pytest.raises(AssertionError, match="nobody asked for it"):
        run(pair, video, 0.35, Sequential())
