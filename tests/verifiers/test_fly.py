"""FLy by hand: its entropy, its window, its end, and the rule once more as the paper tells it, on random logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vsd.models.tree import chain
from vsd.types import Draft, Evidence, Grid, Output, Verdict, VerifierContext
from vsd.utils.random_source import SeededRandom
from vsd.verifiers.exact_prefix import ExactPrefix
from vsd.verifiers.fly import FLy, entropies, gated

CONTEXT = VerifierContext(evidence=Evidence(grid=Grid(1, 1, 1)), left=99)
SURE = [0.97, 0.01, 0.01, 0.01]  # the three likeliest: 0.0295 + 2 * 0.0461 = 0.1217 nats
UNSURE = [0.4, 0.3, 0.2, 0.1]  # 0.3665 + 0.3612 + 0.3219 = 1.0496 nats


def judge(rule: FLy, tokens: Sequence[int], probs: Sequence[Sequence[float]], parents: Sequence[int] = ()) -> Verdict:
    """The verdict on a draft (a chain by default), from the target's distributions after the root and after each
    node."""
    draft = Draft(tokens_N=torch.tensor(tokens), parents_N=torch.tensor(parents or chain(len(tokens))))
    output = Output(logits_MW=torch.tensor(probs, dtype=torch.float64).log())
    return rule.verify(draft, output, CONTEXT, SeededRandom(0))


def test_the_entropy_is_that_of_the_three_likeliest_not_renormalised() -> None:
    probs = torch.tensor([UNSURE, SURE], dtype=torch.float64)
    unsure = -(0.4 * math.log(0.4) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2))
    sure = -(0.97 * math.log(0.97) + 2 * 0.01 * math.log(0.01))
    assert entropies(probs, 3, normalised=False) == pytest.approx([unsure, sure])
    assert (unsure, sure) == pytest.approx((1.0496, 0.1217), abs=1e-4)
    assert entropies(probs, 0, normalised=False)[0] == pytest.approx(unsure - 0.1 * math.log(0.1))
    thirds = torch.full((1, 3), 1 / 3, dtype=torch.float64)
    assert entropies(thirds, 3, normalised=False) == pytest.approx([math.log(3)])
    assert entropies(torch.full((1, 4), 0.25), 0, normalised=True) == pytest.approx([1.0])
    assert entropies(torch.tensor([[0.4, 0.4, 0.2, 0.0]]), 2, normalised=True) == pytest.approx([1.0])
    assert entropies(torch.tensor([[1.0, 0.0]]), 0, normalised=True) == pytest.approx([0.0])


# A draft, places from 0: "." agrees with the target, "u" is a mismatch where the target is unsure, "s" one where it is
# sure. Beside it how many tokens stand by the authors' rule, if the window only has to fit, if it need not fit, with
# six places behind the mismatch as vLLM counts, and by the gate alone.
TABLE = [
    # draft            strict fits open vllm gate
    ("............", 12, 12, 12, 12, 12),
    ("u...........", 12, 12, 12, 12, 12),  # 5 (6) places behind it agree, and it is far from the end
    ("s...........", 0, 0, 0, 0, 0),  # the target is sure
    ("u....u......", 0, 0, 0, 0, 12),  # another one in the fifth place behind the first
    ("u.....u.....", 6, 12, 12, 0, 12),  # in the sixth: out of the authors' window; the second: 6 + 6 = 12, see below
    ("u......u....", 7, 7, 12, 7, 12),  # the second one's window does not fit any more
    ("uu..........", 0, 0, 0, 0, 12),
    ("u.....s.....", 6, 6, 6, 0, 6),
    (".....u......", 12, 12, 12, 12, 12),  # the last place with six behind it
    ("......u.....", 6, 12, 12, 6, 12),  # its window fits exactly; the authors' code is strict in the last six places
    (".......u....", 7, 7, 12, 7, 12),
    ("...........u", 11, 11, 12, 11, 12),
    (".....", 5, 5, 5, 5, 5),
    ("u....", 0, 0, 5, 0, 5),  # a draft of five is too short for any window
    ("u.....", 0, 6, 6, 0, 6),  # of six: too short for the authors' code
    ("u......", 7, 7, 7, 7, 7),  # seven is the least
    (".u.....", 1, 7, 7, 1, 7),
    ("u", 0, 0, 1, 0, 1),
]
RULES = (FLy(), FLy(end="fits"), FLy(end="open"), FLy(window=7, end="fits"), FLy(window=0))


@pytest.mark.parametrize(("draft", "counts"), [(draft, counts) for draft, *counts in TABLE])
def test_the_table_worked_by_hand(draft: str, counts: list[int]) -> None:
    tokens = [int(place != ".") for place in draft]  # the target says 0 everywhere
    probs = [UNSURE if place == "u" else SURE for place in draft]
    verdicts = [judge(rule, tokens, [*probs, SURE]) for rule in RULES]
    assert [len(verdict.path) for verdict in verdicts] == counts
    for verdict in verdicts:
        assert verdict.bonus == 0
        assert [place for place, loose in enumerate(verdict.relaxed) if loose] == [
            place for place in range(len(verdict.path)) if draft[place] == "u"
        ]


def by_the_paper(
    tokens: NDArray[np.int64], logits: NDArray[np.float64], *, least: float, window: int, reach: int
) -> int:
    """How many tokens stand: place by place. A mismatch is refused if the three likeliest tokens' entropy is below
    `least` or fewer than `reach` places are behind it, and then waits for the `window` - 1 places behind it."""
    own = logits.argmax(-1)
    for place in range(len(tokens)):
        if tokens[place] == own[place]:
            continue
        probs = np.exp(logits[place] - logits[place].max())
        probs = np.sort(probs / probs.sum())[-3:]
        certain = -sum(p * np.log(p) for p in probs) < least
        if certain or len(tokens) - 1 - place < reach:
            return place
        if any(tokens[later] != own[later] for later in range(place + 1, place + window)):
            return place
    return len(tokens)


@pytest.mark.parametrize(("settings", "reach"), [({}, 6), ({"end": "fits"}, 5), ({"window": 7, "end": "fits"}, 6)])
def test_random_drafts_stand_as_far_as_in_the_paper(settings: dict[str, Any], reach: int) -> None:
    rng = np.random.default_rng(0)
    rule, relaxed = FLy(**settings), 0
    for _ in range(600):
        count, scale = int(rng.integers(1, 21)), rng.choice([0.5, 2.0, 5.0])
        logits = rng.normal(size=(count + 1, 9)) * scale
        tokens = logits[:count].argmax(-1)
        wrong = rng.random(count) < rng.choice([0.05, 0.15, 0.4])
        tokens[wrong] = rng.integers(0, 9, wrong.sum())
        expected = by_the_paper(tokens, logits[:count], least=0.3, window=rule.window, reach=reach)
        draft = Draft(tokens_N=torch.tensor(tokens), parents_N=torch.tensor(chain(count)))
        verdict = rule.verify(draft, Output(logits_MW=torch.tensor(logits)), CONTEXT, SeededRandom(0))
        assert len(verdict.path) == expected
        relaxed += sum(verdict.relaxed)
    assert relaxed > 30


def test_every_path_of_a_tree_is_a_chain_of_its_own() -> None:
    # root -> 0 (a mismatch) -> 1 .. 6 (they agree); root -> 7 (a mismatch) -> 8
    parents = [-1, 0, 1, 2, 3, 4, 5, -1, 7]
    tokens = [1, 0, 0, 0, 0, 0, 0, 2, 0]
    assert judge(FLy(), tokens, [UNSURE] * 10, parents).path == tuple(range(7))
    assert judge(FLy(), tokens, [SURE] * 10, parents).path == ()
    assert judge(FLy(), tokens[:6] + tokens[7:], [UNSURE] * 9, [-1, 0, 1, 2, 3, 4, -1, 6]).path == ()


def test_a_draft_too_short_for_the_window_is_spoken_of() -> None:
    rule = "verifier=fly relaxes nothing: with window=6 a draft must be at least"
    assert FLy().idle(6) == f"{rule} 7 tokens long (gamma, or a deeper tree), got 6"
    assert FLy().idle(7) == FLy(end="fits").idle(6) == FLy(end="open").idle(1) == FLy(window=0).idle(1) == ""
    assert FLy(end="fits").idle(5) == f"{rule} 6 tokens long (gamma, or a deeper tree), got 5"
    assert ExactPrefix(inner=FLy()).idle(5) == FLy().idle(5)


def test_gated_alone() -> None:
    same, unsure = [True, False, True, True, False, True], [True] * 6
    assert gated(same, unsure, 3, "open") == (True,) * 6
    assert gated(same, unsure, 4, "open") == (True, False, True, True, True, True)
    assert gated(same, [False] * 6, 0, "open") == tuple(same)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("top", 1, "0 or at least 2"),
        ("window", 1, "0 or at least 2"),
        ("end", "loose", "one of strict, fits, open"),
        ("normalised", 1, "true or false"),
        ("entropy", -0.1, "a number, at least 0"),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=rf"^verifier.{field}: must be {rule}, got {value!r}$"):
        FLy(**{field: value})
