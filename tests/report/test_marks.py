"""Relaxed tokens and visual relevance stand at the right tokens."""

from __future__ import annotations

from dataclasses import replace

from vsd.run.report.marks import heat_line, marked
from vsd.types import Mark, Round, Trace

ROUNDS = (
    Round(
        drafted=3,
        nodes=3,
        accepted=2,
        committed=3,
        rejected=True,
        relaxed=(1,),
        gaps=(0.2,),
        evidence={"relevance": (0.1, 0.9, 0.5)},
    ),
    Round(
        drafted=3,
        nodes=3,
        accepted=1,
        committed=2,
        rejected=True,
        relaxed=(0,),
        gaps=(0.1,),
        evidence={"relevance": (0.3, 0.1)},
    ),
)
TRACE = Trace(
    tokens=(5, 6, 7, 8, 9, 10), rounds=ROUNDS, seconds={}, target_forwards=2, visual=4, kept=2, prompt=9, finish="eos"
)
PIECES = ("The", " red", " box", " moves", " up", ".")


def test_marks_follow_the_rounds() -> None:
    found = TRACE.marks
    assert [mark.origin for mark in found] == ["target", "draft", "draft", "correction", "draft", "correction"]
    assert [mark.round for mark in found] == [None, 0, 0, 0, 1, 1]
    assert [mark.relaxed for mark in found] == [False, False, True, False, True, False]
    assert [mark.relevance for mark in found] == [None, 0.1, 0.9, 0.5, 0.3, 0.1]


def test_marks_of_a_first_window_that_was_drafted_early() -> None:
    """Then a round has committed the first token too."""
    early = Round(
        drafted=1, nodes=1, accepted=1, committed=1, rejected=False, relaxed=(0,), evidence={"relevance": (0.7,)}
    )
    found = replace(TRACE, rounds=(early, *ROUNDS)).marks
    assert (found[0].origin, found[0].round) == ("draft", 0)
    assert [mark.relaxed for mark in found] == [True, False, True, False, True, False]
    assert [mark.relevance for mark in found] == [0.7, 0.1, 0.9, 0.5, 0.3, 0.1]


def test_marked_text_reads_on() -> None:
    assert marked(PIECES, TRACE.marks) == "The red ⟦box⟧ moves ⟦up⟧."


def test_a_bar_stands_under_each_character() -> None:
    line = heat_line(PIECES, TRACE.marks)
    assert len(line) == len("".join(PIECES))
    assert line[:3] == "   "
    assert line[3:7] == "▁▁▁▁"
    assert line[7:11] == "████"


def test_without_relevance_there_is_no_line() -> None:
    assert heat_line(PIECES, [Mark()] * 6) == ""


def test_whose_a_token_is() -> None:
    cut = Round(drafted=3, nodes=3, accepted=3, committed=3, rejected=False)
    whole = Round(drafted=2, nodes=2, accepted=2, committed=3, rejected=False)
    found = replace(TRACE, tokens=tuple(range(12)), rounds=(ROUNDS[0], whole, ROUNDS[1], cut)).marks
    assert [mark.origin for mark in found] == [
        *["target"],
        *["draft", "draft", "correction"],
        *["draft", "draft", "target"],
        *["draft", "correction"],
        *["draft", "draft", "draft"],
    ]
    assert [mark.round for mark in found] == [None, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3]
