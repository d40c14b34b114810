"""What a person asks first is said first, and nothing that cannot be otherwise."""

from __future__ import annotations

import pytest
from rich.markup import render

from vsd.metrics import Summary
from vsd.run.report.headline import headline

FINE = {
    "samples/done": 32.0,
    "exact/mismatched": 0.0,
    "speed/decode": 1.572,
    "speed/end_to_end": 1.21,
    "speed/ttft": 1 / 1.13,
    "speed/predicted": 1.95,
    "speed/verify_steps": 1.3,
    "accept/draft_length": 4.2,
    "accept/rate": 0.95,
    "prune/kept": 80.0,
    "prune/visual": 800.0,
    "quality/retention": 100.0,
}
ERRORS = {"speed/decode": 0.041, "speed/ttft": 0.01, "accept/draft_length": 0.07, "quality/retention": 1.5}


def said(values: dict[str, float], *, lossless: bool = True, matters: bool = True) -> dict[str, str]:
    lines = headline(Summary(values=values, errors=ERRORS), lossless=lossless, mismatched_matters=matters)
    found: dict[str, str] = {}
    for name, text in lines:
        found[name] = f"{found.get(name, '')} {render(text).plain}".strip()
    return found


def test_a_lossless_run() -> None:
    assert said(FINE) == {
        "exact": "yes: 32 of 32 generations are the target's own, token by token",
        "speed": "1.57x ±.04 decoding, 1.21x whole answers, first token 13% later",
        "": "theory 1.95x, for which a verification costs one step of the target; here it costs 1.30",
        "accepted": "4.20 ±.07 draft tokens a round, 95% of those tested",
        "draft sees": "80 of 800 visual tokens",
    }
    assert next(iter(said(FINE))) == "exact"


def test_a_schedule_for_which_there_is_no_theory() -> None:
    without = {name: value for name, value in FINE.items() if name != "speed/predicted"}
    assert said(without)[""] == "a verification costs 1.30 steps of the target"


def test_the_price_of_a_lossy_rule() -> None:
    loose = FINE | {"exact/mismatched": 9.0, "quality/retention": 94.0, "relax/share": 0.083}
    found = said(loose, lossless=False, matters=False)
    assert found["exact"] == "23 of 32 generations are the target's own; this rule does not promise it"
    assert found["quality"] == "quality kept, percent 94.0 ±1.5"
    assert "8.3% of them stand by the loose rule alone" in found[""]


@pytest.mark.parametrize(
    ("near", "expected"),
    [
        (2.0, "but for rounding: 30 of 32 are the target's own, 2 part at a near-tie"),
        (1.0, "no: 2 of 32 generations are not the target's own"),
    ],
)
def test_a_fault_and_rounding_are_two_things(near: float, expected: str) -> None:
    assert said(FINE | {"exact/mismatched": 2.0, "exact/near_tie": near})["exact"] == expected


@pytest.mark.parametrize(("ttft", "expected"), [(1.0, "as early"), (0.99, "as early"), (1.1, "9% earlier")])
def test_the_first_token(ttft: float, expected: str) -> None:
    """A difference within the error is none."""
    assert f"first token {expected}" in said(FINE | {"speed/ttft": ttft})["speed"]


def test_what_is_not_known_is_not_said() -> None:
    assert said({"samples/done": 3.0, "samples/failed": 1.0, "speed/tokens_per_s": 12.0}) == {
        "samples": "1 of 4 failed",
        "speed": "12.0 tokens/s",
    }
    assert said({"samples/done": 3.0, "prune/kept": 9.0, "prune/visual": 9.0}) == {}
