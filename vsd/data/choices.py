"""Which option a multiple-choice answer names.

The forms of lmms-eval's `mcq_extract` in an order of priority, the last occurrence of a form before the earlier ones.
Here a letter must stand alone, the article "a" and the pronoun "I" are none, and an answer that says that it is one
("the answer is B") comes before a letter at the start or the end.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence

LETTERS = string.ascii_uppercase
_MARKS = re.compile(r"\\(?:boxed|text|textbf|mathrm)\b|[*`_${}\"“”]")
_SAYS = (
    r"(?:answer|option|choice)\s+(?:is|would be|should be|must be|has to be)\s*:?|(?:answer|choice)\s*[:=]"
    r"|\bI(?:'d| would| will)?\s+(?:choose|chose|select|pick|go with|went with)"
    r"|答案\s*(?:是|为|:)|选择?|정답은|답은|답:|옵션|答えは"
)
_PREFIX = r"\s*(?:(?:the\s+)?(?:option|choice|letter)\s+)?[(\[']*"
# Of a word in which a letter would not stand alone; Chinese, Japanese and Korean put no spaces around one.
_CHARACTER = r"[^\W\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]"
# What can follow a letter, and no article or pronoun.
_GOES_ON = r"(?:is|was|are|would|should|must|seems|matches|fits|because|since|and|or)\b"


def chosen(text: str, options: Sequence[str]) -> str:
    """The letter of the option that is named; empty if none is. `options` are the texts of A, B, C ..."""
    text = _MARKS.sub("", unicodedata.normalize("NFKC", text)).strip()
    options = without_letters(options)
    alone = _alone(text, options)
    if alone or not options:
        return alone
    letter = rf"([{LETTERS[: len(options)]}])"
    for pattern in _patterns(letter):
        named = [match for match in re.finditer(pattern, text) if _is_letter(match, text, options)]
        if named:
            return str(named[-1].group(1)).upper()
    inside = [LETTERS[place] for place, option in enumerate(options) if _contains(text, option)]
    return inside[0] if len(inside) == 1 else ""


def without_letters(options: Sequence[str]) -> list[str]:
    """The texts of A, B, C ... alone, each without its own letter, if that stands before it: of "A. red", "(A) red" and
    "A.red", but not of "A.M."."""
    behind = r"[.):](?:\s+|(?=\d|[^\W_]{2}))"
    found = [re.sub(rf"\A\(?{letter}{behind}", "", one) for letter, one in zip(LETTERS, options, strict=False)]
    return [*found, *options[len(found) :]]


def _alone(text: str, options: Sequence[str]) -> str:
    """The letter if the answer is nothing but a letter, in any case, or the whole text of one option."""
    bare = text.strip(" \t\n.,:;!?()[]'")
    if len(bare) == 1 and bare.upper() in LETTERS[: len(options)]:
        return bare.upper()
    same = [LETTERS[place] for place, option in enumerate(options) if _words(option) == _words(text) != ""]
    return same[0] if len(same) == 1 else ""


def _patterns(letter: str) -> tuple[str, ...]:
    """The forms, from the surest on; the group is the letter."""
    ends = rf"(?!['-]?{_CHARACTER})"
    starts = rf"(?<!{_CHARACTER})(?<!{_CHARACTER}['-])"
    return (
        rf"(?i:{_SAYS}){_PREFIX}{letter}{ends}",
        rf"(?i:(?:{_SAYS}){_PREFIX}{letter}(?=[)\].,;:!?']*\s*(?:$|\n)|[)\]]))",
        rf"\A[(\[']*{letter}{ends}",
        rf"{starts}{letter}[)\].,;:!?']*\s*\Z",
        rf"\({letter}\)",
        rf"(?i:\b(?:option|choice|letter))\s+[(\[']*{letter}{ends}",
        rf"{starts}{letter}\.(?!\w)",
        rf"{starts}{letter}:",
        rf"{starts}{letter}\)",
        rf"(?i:\A[(\[']*{letter}[)\].:](?!\w))",
        rf"{starts}{letter}{ends}",
    )


def _is_letter(match: re.Match[str], text: str, options: Sequence[str]) -> bool:
    """Whether this is no article or pronoun: "A red square" is none unless red is what option A says."""
    letter, behind = match.group(1), text[match.end(1) :]
    if letter.upper() not in "AI" or not re.match(r"\s+\w", behind):
        return True
    own = _words(options[LETTERS.index(letter.upper())])
    followed = letter == "A" and re.match(rf"\s+{_GOES_ON}", behind)
    return bool(followed) or (bool(own) and f"{_words(behind)} ".startswith(f"{own} "))


def _contains(text: str, option: str) -> bool:
    words = _words(option)
    return bool(words) and f" {words} " in f" {_words(text)} "


def _words(text: str) -> str:
    """Lower-case words, without an article in front."""
    words = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()
    return re.sub(r"\A(?:an?|the) (?=.)", "", words)
