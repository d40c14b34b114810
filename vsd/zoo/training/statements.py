"""What a language model must state in its inner layers, at the question's end and in the answer: the facts themselves.

An answer holds one word about a motion, hundreds of tokens behind what was seen. Throw-away linear heads ask at every
token for all facts of the event that the answer's sentence is about, and for the number of events. To ask for two
events at once is more than a state of this width can hold beside the next word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vsd.zoo.small_events.questions import NUMBERS, ORDINALS, Question
from vsd.zoo.small_events.world import BACKGROUNDS, COLOURS, LOOKS, SHAPES, SIZES, Event, Scene
from vsd.zoo.training.prompts import IGNORED

_FACTS: dict[str, Sequence[str]] = {**LOOKS, "shot": ORDINALS, **BACKGROUNDS}
_INTRODUCES = re.compile(
    rf"\ban? (?:(?:{'|'.join([*SIZES, *COLOURS])}) )*(?:{'|'.join(SHAPES)})\b[^.]*\.", re.IGNORECASE
)
OPTIONS = (*(len(values) for values in _FACTS.values()), len(NUMBERS))
"""How many values each of the heads' F facts has: those of an event, and how many events there are."""


def statements(scene: Scene, question: Question, answer: str, begins_at: Sequence[int]) -> NDArray[np.int64]:
    """(S, F) indices of what is right at each token, IGNORED where nothing is; `begins_at` as `Text` has it."""
    events = [next(event for event in scene.events if event.shown == shown) for shown in question.shown]
    count = _count(question)
    rows = [[*_facts(scene, event), count] for event in events] or [[IGNORED] * len(_FACTS) + [count]]
    begins = [answer.rfind(". ", 0, match.start()) + 2 for match in _INTRODUCES.finditer(answer)]
    about_S = np.searchsorted(begins[1:], begins_at, side="right") if begins else np.zeros(len(begins_at), int)
    stated_SF: NDArray[np.int64] = np.array(rows)[np.minimum(about_S, len(rows) - 1)]
    stated_SF[np.array(begins_at) < 0] = IGNORED
    return stated_SF


def _count(question: Question) -> int:
    counts = {section.facts["count"] for section in question.sections if "count" in section.facts}
    return NUMBERS.index(min(counts)) if len(counts) == 1 and counts <= set(NUMBERS) else IGNORED


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
        """The facts' mean cross-entropies, summed."""
        losses = [
            cross_entropy(said_XO, right_X, ignore_index=IGNORED, reduction="sum") / (right_X != IGNORED).sum().clamp(1)
            for said_XO, right_X in zip(self(states_XD).split(OPTIONS, -1), right_XF.unbind(-1), strict=True)
        ]
        return torch.stack(losses).sum()
