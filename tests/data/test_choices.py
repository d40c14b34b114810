"""The letter that an answer names, form by form."""

from __future__ import annotations

import pytest

from vsd.data.choices import chosen, without_letters

COLOURS = ("red", "a blue square", "green", "yellow")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        *[("B", "B"), ("b", "B"), ("B.", "B"), ("(C)", "C"), ("C)", "C"), ("**D**", "D"), ("Answer: A", "A")],
        *[("\\boxed{B}", "B"), ("`C`", "C"), ("（B）", "B"), ('"D"', "D"), ("(C) because it moves", "C")],
        *[("A: red", "A"), ("A. red", "A"), ("B, because the others are round", "B"), ("C\n\nThe shape moves.", "C")],
        *[("A red square", "A"), ("A is right", "A"), ("D it is", "D")],
        *[("The answer is D.", "D"), ("so the answer is B", "B"), ("The correct answer is: (C)", "C")],
        *[("The answer is B, not A", "B"), ("A is what I thought; the answer is B", "B"), ("I would choose c.", "C")],
        *[("My first answer is A. On reflection the answer is C.", "C"), ("the correct option is b", "B")],
        *[("I'd go with option D here", "D"), ("答案是B选项", "B"), ("정답은 C", "C"), ("答えはAです", "A")],
        *[("It is neither red nor round. So, C", "C"), ("A man rides a horse, which means B.", "B")],
        *[("Options (A) and (B) fail, (C) holds all along", "C"), ("Because of the light, option C fits best", "C")],
        *[("red", "A"), ("Blue square.", "B"), ("The square is green", "C"), ("A green one", "C")],
        *[("", ""), ("Apple", ""), ("a", "A"), ("A small dog runs away", ""), ("I think a dog runs", "")],
        *[("E", ""), ("It's a B-side", ""), ("Don't know", ""), ("red or green", ""), ("ABCD", "")],
        *[("the answer is a dog", ""), ("The answer is A dog that barks. Therefore D", "D")],
    ],
)
def test_the_letter_that_is_chosen(text: str, letter: str) -> None:
    assert chosen(text, COLOURS) == letter


def test_an_options_own_letter_is_no_part_of_it() -> None:
    labelled = ["A.M.", "(B) red", "C.green", "D) 4", "E:5", "F. F. Scott", "G", "A. eight"]
    assert without_letters(labelled) == ["A.M.", "red", "green", "4", "5", "F. Scott", "G", "A. eight"]
    assert without_letters([f"{place}" for place in range(30)]) == [f"{place}" for place in range(30)]


def test_labels_before_the_options_do_not_matter() -> None:
    labelled = tuple(f"{letter}. {option}" for letter, option in zip("ABCD", COLOURS, strict=True))
    for text in ("yellow", "D. yellow", "(D)"):
        assert chosen(text, labelled) == "D"


def test_only_as_many_letters_as_there_are_options() -> None:
    assert chosen("(C)", ("yes", "no")) == ""
    assert chosen("The answer is J", tuple("0123456789")) == "J"
    assert chosen("B", ()) == ""
