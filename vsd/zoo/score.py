"""Are the facts in a description right? Reads them back from the text and holds them against the scene's.

A shape's facts are looked for in the sentence that names its place. What a text does not say counts as wrong, and a
sentence about a place where there is no shape counts against `place`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from vsd.zoo import texts
from vsd.zoo.shapes import COLOURS, PLACES, SHAPES, SIZES, TEXTURES, TONES

KINDS = ("count", "background", "place", "size", "colour", "shape", "motion")
_WORDS = {"size": tuple(SIZES), "colour": tuple(COLOURS), "shape": SHAPES}


def _first(words: Iterable[str], sentence: str) -> str | None:
    found = re.search(rf"\b({'|'.join(words)})\b", sentence)
    return found.group(1) if found else None


def read_facts(text: str) -> dict[str, Any]:
    """The facts a description states, in the form of `Scene.facts`; None where it states none."""
    sentences = [s.strip() for s in text.split(".") if s.strip()]
    head = sentences[0] if sentences else ""
    number = _first(texts.NUMBERS, head)
    background = re.search(rf"\b({'|'.join(TEXTURES)}) ({'|'.join(TONES)}) background", head)
    shapes = []
    for sentence in sentences[1:]:
        place = _first(PLACES, sentence)
        if place is None:
            continue
        said = {kind: _first(words, sentence) for kind, words in _WORDS.items()}
        motion = next((name for name, words in texts.MOVES.items() if words in sentence), None)
        shapes.append({"place": place, **said, "motion": motion})
    return {
        "count": texts.NUMBERS.index(number) if number else None,
        "background": " ".join(background.groups()) if background else None,
        "shapes": shapes,
    }


def score(text: str, facts: Mapping[str, Any]) -> tuple[Counter[str], Counter[str]]:
    """Facts right and facts asked for, by kind. `place` counts the four places: is each rightly named or not named?"""
    said = read_facts(text)
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for kind in ("count", "background"):
        asked[kind] += 1
        right[kind] += said[kind] == facts[kind]
    found = {shape["place"]: shape for shape in reversed(said["shapes"])}
    true = {shape["place"]: shape for shape in facts["shapes"]}
    asked["place"] += len(PLACES)
    right["place"] += sum((place in found) == (place in true) for place in PLACES)
    for place, shape in true.items():
        for kind in ("size", "colour", "shape", "motion"):
            asked[kind] += 1
            right[kind] += found.get(place, {}).get(kind) == shape[kind]
    return right, asked


def total(scores: Iterable[tuple[Counter[str], Counter[str]]]) -> dict[str, float]:
    """Share of facts right by kind and over all kinds ("all"), pooled over clips."""
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for clip_right, clip_asked in scores:
        right.update(clip_right)
        asked.update(clip_asked)
    shares = {kind: right[kind] / asked[kind] for kind in KINDS if asked[kind]}
    return {**shares, "all": sum(right.values()) / max(1, sum(asked.values()))}
