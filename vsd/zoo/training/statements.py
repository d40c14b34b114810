"""What a language model must state in its inner layers, at the question's end and in the answer: the facts themselves.

An answer holds one word about a motion, hundreds of tokens behind what was seen. Throw-away linear heads ask for all
facts of two events at once at every token: of those asked for, or, where the answer lists events, of the one that is
told and of the next.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vsd.zoo.small_events.questions import NUMBERS, ORDINALS, Question
from vsd.zoo.small_events.world import BACKGROUNDS, COLOURS, LOOKS, SHAPES, SIZES, Event, Scene
from vsd.zoo.training.prompts import IGNORED

_EVENTS = 2
_FACTS: dict[str, Sequence[str]] = {**LOOKS, "shot": ORDINALS, **BACKGROUNDS}
_LISTS = ("order", "shot", "everything")
_INTRODUCES = re.compile(
    rf"\ban? (?:(?:{'|'.join([*SIZES, *COLOURS])}) )*(?:{'|'.join(SHAPES)})\b[^.]*\.", re.IGNORECASE
)
OPTIONS = (*(len(values) for _ in range(_EVENTS) for values in _FACTS.values()), len(NUMBERS))
"""How many values each of the heads' F facts has: those of two events, and how many events there are."""


def statements(scene: Scene, question: Question, answer: str, told: Sequence[int]) -> np.ndarray:
    """(S, F) indices of what is right at each token, IGNORED where nothing is; `told` as `Text` has it."""
    events = [next(event for event in scene.events if event.shown == shown) for shown in question.shown]
    rows = [_row(scene, events[first:], question) for first in range(len(events) + 1)]
    ends = [found.end() for found in _INTRODUCES.finditer(answer)] if question.kind in _LISTS else []
    done_S = np.searchsorted(ends, told, side="right") if ends else np.zeros(len(told), int)
    stated_SF = np.array(rows)[np.minimum(done_S, len(events))]
    stated_SF[np.array(told) < 0] = IGNORED
    return stated_SF


def _row(scene: Scene, events: Sequence[Event], question: Question) -> list[int]:
    found: list[int] = []
    for place in range(_EVENTS):
        found += _facts(scene, events[place]) if place < len(events) else [IGNORED] * len(_FACTS)
    counts = {section.facts["count"] for section in question.sections if "count" in section.facts}
    return [*found, NUMBERS.index(min(counts)) if len(counts) == 1 and counts <= set(NUMBERS) else IGNORED]


def _facts(scene: Scene, event: Event) -> list[int]:
    shot = scene.shots[event.shot]
    values = [getattr(event, name) for name in LOOKS]
    values += [ORDINALS[event.shot], *(getattr(shot, name) for name in BACKGROUNDS)]
    return [list(options).index(value) for options, value in zip(_FACTS.values(), values, strict=True)]


class StatementHeads(nn.Linear):
    """Reads all facts from the states of one layer."""

    def __init__(self, width: int) -> None:
        super().__init__(width, sum(OPTIONS))

    def loss(self, states_XD: Tensor, right_XF: Tensor) -> Tensor:
        """The facts' mean cross-entropies, summed over the facts of an event."""
        losses = [
            cross_entropy(said_XO, right_X, ignore_index=IGNORED, reduction="sum") / (right_X != IGNORED).sum().clamp(1)
            for said_XO, right_X in zip(self(states_XD).split(OPTIONS, -1), right_XF.unbind(-1), strict=True)
        ]
        return torch.stack(losses).sum() / _EVENTS
