"""Are the facts of an answer right? Reads them back from free text, in any habit's words.

A fact is right when the text states its value and no other. What is said of another thing, contradicted or not said is
wrong: of which thing a sentence speaks is told by the name in it (`one`, `two`), by an ordinal or the number of a shot
(`order`, `everything`), or by the order of the shapes that it introduces (`shot`, and within a shot).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vsd.zoo.small_events.asking import FACT_WORDS
from vsd.zoo.small_events.questions import NONE, NUMBERS, ORDINALS, number, ordinal
from vsd.zoo.small_events.world import BACKGROUNDS, COLOURS, COLUMNS, CORES, LOOKS, ROWS, SHAPES, SIZES

Facts = Mapping[str, Any]
Said = dict[str, set[str]]
"""All values that were stated of each fact."""
_ORDINAL = "|".join([*ORDINALS, r"\d+(?:st|nd|rd|th)"])
_NUMBER = "|".join([*NUMBERS, r"\d+"])
_LOOKS = "|".join([*SIZES, *COLOURS])
_NOUN = f"(?:(?:{_LOOKS}) )*(?:{'|'.join(SHAPES)}|shape)"
_ROW, _COLUMN = "|".join(ROWS), "|".join(COLUMNS)
PATTERNS = {
    **{name: f"({'|'.join(LOOKS[name])})" for name in ("colour", "shape", "size")},
    **{name: f"({'|'.join(values)})" for name, values in BACKGROUNDS.items()},
    "core": f"({'|'.join(CORES)})",
    "row": f"({_ROW}) (?:{_COLUMN})",
    "column": f"(?:{_ROW}) ({_COLUMN})",
    "motion": r"(?:(?:moves?|goes|moving|stays?|remains?) )(?:\w+ly )?(?:to the )?(still|up|down|left|right)",
    "shot": f"({_ORDINAL}) shot",
    "count": f"({_NUMBER}) shapes?",
    "company": f"({_NOUN})",
    "earlier": f"the ({_NOUN})",
}
"""How each fact is put; the group is its value."""


def score(text: str, facts: Facts) -> tuple[Counter[str], Counter[str]]:
    """Facts right and facts asked for, by name; `facts` as `Question.facts` has them."""
    sections: Sequence[Facts] = facts["sections"]
    said = _READERS[facts["kind"]](_sentences(text), sections)
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for section in sections:
        stated = said.get(section["about"], {})
        for name, value in section["facts"].items():
            asked[name] += 1
            right[name] += stated.get(name) == {value}
    return right, asked


def total(scores: Iterable[tuple[Counter[str], Counter[str]]]) -> dict[str, float]:
    """Share of facts right by name and over all ("all"), pooled over answers."""
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for one_right, one_asked in scores:
        right.update(one_right)
        asked.update(one_asked)
    shares = {name: right[name] / asked[name] for name in sorted(asked)}
    return {**shares, "all": sum(right.values()) / max(1, sum(asked.values()))}


def chance(all_facts: Iterable[Facts]) -> float:
    """The share right to be expected of answers whose every fact is drawn as often as it holds in `all_facts`."""
    values: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for facts in all_facts:
        for section in facts["sections"]:
            for name, value in section["facts"].items():
                values[name][value] += 1
    right = sum(sum(n * n for n in counts.values()) / sum(counts.values()) for counts in values.values())
    return right / sum(sum(counts.values()) for counts in values.values())


def fact_spans(text: str) -> list[tuple[int, int]]:
    """Where the text has a word that facts are put in, right or wrong."""
    return [found.span() for found in re.finditer(rf"\b(?:{'|'.join(FACT_WORDS)})\b", text, re.IGNORECASE)]


def _sentences(text: str) -> list[str]:
    return [" ".join(part.lower().split()) for part in re.split(r"[.!?\n]+", text) if part.strip()]


def _values(name: str, text: str) -> set[str]:
    return set(re.findall(rf"\b{PATTERNS[name]}\b", text))


def _add(said: dict[str, Said], about: str, names: Iterable[str], text: str) -> None:
    stated = said.setdefault(about, {})
    for name in names:
        stated.setdefault(name, set()).update(_values(name, text))


def _introduces(sentence: str) -> int:
    """How many shapes the sentence introduces: "a small red circle"."""
    return len(re.findall(rf"\ban? {_NOUN}\b", sentence))


def _read_named(sentences: list[str], sections: Sequence[Facts]) -> dict[str, Said]:
    """Of events with names. What contradicts the name speaks of another event, and so does what follows."""
    events = {section["about"]: section for section in sections if section["about"] != "pair"}
    current = next(iter(events)) if len(events) == 1 else ""
    said: dict[str, Said] = {}
    for sentence in sentences:
        if re.search(r"\bof the two\b", sentence):
            _add(said, "pair", ["earlier"], sentence)
        elif company := _company(sentence):
            said.setdefault(current, {}).setdefault("company", set()).update(company)
        else:
            current = _subject(sentence, events, current)
            if current and any(_values(name, sentence) - {value} for name, value in _given(events[current])):
                said[current], current = {}, ""
            if current:
                _add(said, current, events[current]["facts"].keys() - {"company"}, sentence)
    return said


def _given(section: Facts) -> Iterable[tuple[str, str]]:
    return [(name, value) for name, value in section.get("given", {}).items() if name in PATTERNS]


def _subject(sentence: str, events: Mapping[str, Facts], current: str) -> str:
    """Of which event a sentence speaks: the one that it names, or still the same; "" for one that was not asked for."""
    named = set(re.findall(rf"\bthe ({_NOUN})\b", sentence))
    if not named:
        return current
    fitting = [
        about
        for about, section in events.items()
        if all(value in name.split() for name in named for _, value in _given(section))
    ]
    return fitting[0] if len(fitting) == 1 else ""


def _company(sentence: str) -> set[str]:
    """What a sentence says is beside an event; empty for sentences that say nothing of it."""
    if re.search(r"\b(?:no|nothing|any) (?:other|else)\b", sentence):
        return {NONE}
    match = re.search(rf"\balso an? ({_NOUN})\b", sentence)
    return {match.group(1)} if match else set()


def _read_order(sentences: list[str], sections: Sequence[Facts]) -> dict[str, Said]:
    names = {section["about"]: section["facts"] for section in sections}
    said: dict[str, Said] = {}
    for sentence in sentences:
        match = re.search(rf"\bthe ({_ORDINAL})\b(?! shot)", sentence)
        if match:
            _add(said, match.group(1), names.get(match.group(1), ()), sentence)
        else:
            _add(said, "video", ["count"], sentence)
    return _counted(said, "video", len([about for about in said if about != "video"]))


def _read_shot(sentences: list[str], sections: Sequence[Facts]) -> dict[str, Said]:
    """What is said of another shot than the one that was asked for does not count."""
    said: dict[str, Said] = {}
    given = {value for section in sections for name, value in _given(section) if name == "shot"}
    introduced, elsewhere = 0, False
    for sentence in sentences:
        named = _values("shot", sentence)
        elsewhere = bool(named - given) if named else elsewhere
        if elsewhere:
            continue
        introduced += _introduces(sentence)
        if introduced:
            _add(said, ordinal(introduced - 1), LOOKS, sentence)
        _add(said, "shot", ["count", *BACKGROUNDS], sentence)
    return _counted(said, "shot", introduced)


def _read_everything(sentences: list[str], sections: Sequence[Facts]) -> dict[str, Said]:
    said: dict[str, Said] = {}
    shot, introduced, events = "", 0, 0
    for sentence in sentences:
        match = re.search(rf"\b({_ORDINAL}) shot\b", sentence)
        if match:
            shot, introduced = match.group(0), 0
        introduced += _introduces(sentence)
        events += _introduces(sentence)
        if _introduces(sentence):
            _add(said, f"{shot}, {ordinal(introduced - 1)}", LOOKS, sentence)
        _add(said, "video", ["count"], sentence)
        _add(said, shot, BACKGROUNDS, sentence)
    return _counted(said, "video", events)


def _counted(said: dict[str, Said], about: str, introduced: int) -> dict[str, Said]:
    """A text that introduces more shapes than it says there are contradicts itself."""
    counts = said.get(about, {}).get("count", set())
    if any(introduced > _as_number(count) for count in counts):
        counts.add(number(introduced))
    return said


def _as_number(word: str) -> int:
    return int(word) if word.isdecimal() else NUMBERS.index(word)


def _read_short(sentences: list[str], sections: Sequence[Facts]) -> dict[str, Said]:
    """A number stands alone in a short answer."""
    text = " ".join(sentences)
    said: dict[str, Said] = {}
    for section in sections:
        _add(said, section["about"], section["facts"], text)
        if "count" in section["facts"]:
            said[section["about"]]["count"] = set(re.findall(rf"\b({_NUMBER})\b", text))
    return said


_Reader = Callable[[list[str], Sequence[Facts]], dict[str, Said]]
_READERS: dict[str, _Reader] = {
    "one": _read_named,
    "two": _read_named,
    "order": _read_order,
    "shot": _read_shot,
    "everything": _read_everything,
    "short": _read_short,
    "choice": lambda sentences, sections: {},
}
