"""Batches of pruned prompts with their answers: which visual tokens are kept, at which positions, and what is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vsd.zoo.small_events.habits import TARGET, Habit, answer
from vsd.zoo.small_events.questions import Question, ask, kinds_of
from vsd.zoo.small_events.short import ask_choice, ask_short
from vsd.zoo.training.family import Family
from vsd.zoo.training.lessons import Lesson
from vsd.zoo.training.prompts import IGNORED, Prompter
from vsd.zoo.training.statements import statements
from vsd.zoo.training.store import Clip, Store

BATCH_TOKENS = 6000
"""Of a batch, about."""
_TEXT = 120  # tokens of a row, about
_LEAST = 2  # rows
_SHORTEST = 187  # tokens that a row counts as, at least: of short ones there are not too many
_SHORT = {"short": ask_short, "choice": ask_choice}


@dataclass(frozen=True)
class Row:
    """A clip, which of its visual tokens are kept, and a question about it."""

    clip: Clip
    question: Question
    answer: str
    kept_K: NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """B prompts with K visual tokens and S tokens of text behind them, padded on the right. Positions are those of the
    full prompts."""

    features_BKD: Tensor
    positions_BPT: Tensor
    text_BS: Tensor
    labels_BS: Tensor
    stated_BSF: Tensor
    full: bool

    def to(self, device: torch.device) -> Batch:
        return Batch(
            self.features_BKD.to(device),
            self.positions_BPT.to(device),
            self.text_BS.to(device),
            self.labels_BS.to(device),
            self.stated_BSF.to(device),
            self.full,
        )


class Batches:
    """Of about `tokens` each; `behind` is the number of placeholders that follow the visual tokens of every video."""

    def __init__(
        self,
        family: Family,
        prompter: Prompter,
        store: Store,
        *,
        behind: int,
        habit: Habit = TARGET,
        tokens: int = BATCH_TOKENS,
    ) -> None:
        self._family, self._prompter, self._store = family, prompter, store
        self._behind, self._habit, self._tokens = behind, habit, tokens

    def draw(self, lesson: Lesson, rng: np.random.Generator) -> Batch:
        kept = lesson.draw_kept(rng)
        if kept is None:
            first = self._store.draw_alike(self._count(0), rng)
            clips = first[: self._count(first[0].tokens)]
        else:
            clips = [self._store.draw(rng) for _ in range(self._count(kept))]
        return self.of([self._row(clip, kept, lesson, rng) for clip in clips], full=kept is None)

    def of(self, rows: Sequence[Row], *, full: bool = False) -> Batch:
        """The batch of these rows, which have equally many visual tokens."""
        texts = [self._prompter(row.question.text, row.answer) for row in rows]
        longest = max(len(text.ids) for text in texts)
        stated = [
            torch.from_numpy(statements(row.clip.scene, row.question, row.answer, text.begins_at))
            for row, text in zip(rows, texts, strict=True)
        ]
        return Batch(
            torch.stack([row.clip.features(row.kept_K) for row in rows]),
            torch.stack([self._positions(row, longest) for row in rows]),
            _padded([text.ids for text in texts], 0),
            _padded([text.labels for text in texts], IGNORED),
            pad_sequence(stated, batch_first=True, padding_value=IGNORED),
            full,
        )

    def _count(self, tokens: int) -> int:
        """Rows of so many visual tokens."""
        return max(_LEAST, self._tokens // max(_SHORTEST, tokens + _TEXT))

    def _row(self, clip: Clip, kept: int | None, lesson: Lesson, rng: np.random.Generator) -> Row:
        kind = lesson.draw_kind((*kinds_of(clip.scene), *_SHORT), rng)
        question = _SHORT[kind](clip.scene, rng) if kind in _SHORT else ask(clip.scene, kind, rng)
        if kept is None:
            chosen = np.arange(clip.tokens)
        else:
            chosen = choose(clip, question, kept, rng, unseen=rng.random() < lesson.unseen)
        return Row(clip, question, answer(question, self._habit, rng), chosen)

    def _positions(self, row: Row, longest: int) -> Tensor:
        before, tokens = len(self._prompter.before), row.clip.tokens
        behind = self._behind + longest
        full_PT = _full_positions(self._family, before, row.clip.scene.frames, self._behind + _rounded(longest))
        kept = torch.cat(
            (torch.arange(before), before + torch.from_numpy(row.kept_K), before + tokens + torch.arange(behind))
        )
        return full_PT[:, kept]


def choose(
    clip: Clip, question: Question, count: int, rng: np.random.Generator, *, unseen: bool = False
) -> NDArray[np.int64]:
    """`count` visual tokens, sorted: one of each shot; those of the events that the answer is about, of each as many as
    fit, or with `unseen` only some; of the others some; and the background."""
    scene = clip.scene
    events = [next(n for n, event in enumerate(scene.events) if event.shown == shown) for shown in question.shown]
    groups = [rng.permutation(np.nonzero(clip.event_V == event)[0]) for event in events]
    if unseen:
        groups = [group[rng.random(len(group)) < rng.random()] for group in groups]
    seen = _in_turn(groups, count - len(scene.shots))
    nothing = clip.event_V < 0
    grounds = [rng.choice(np.nonzero(nothing & (_shots(clip) == shot))[0]) for shot in range(len(scene.shots))]
    room = count - len(seen) - len(grounds)
    others = rng.permutation(np.nonzero(~nothing & ~np.isin(clip.event_V, events))[0])
    others = others[: int(rng.integers(room // 2 + 1))]
    taken = np.array([*seen, *grounds, *others], np.int64)
    nothing[taken] = False
    rest = rng.permutation(np.nonzero(nothing)[0])[: count - len(taken)]
    return np.sort(np.concatenate([taken, rest]))


def _in_turn(groups: list[NDArray[np.int64]], count: int) -> list[int]:
    """One of each group, then another of each, until there are `count`."""
    longest = max((len(group) for group in groups), default=0)
    ordered = [int(group[place]) for place in range(longest) for group in groups if place < len(group)]
    return ordered[: max(0, count)]


def _shots(clip: Clip) -> NDArray[np.int64]:
    """The shot of each visual token."""
    return np.arange(clip.tokens) * len(clip.scene.shots) // clip.tokens


@cache
def _full_positions(family: Family, before: int, frames: int, behind: int) -> Tensor:
    return family.positions(before, family.grid(frames), behind)


def _rounded(length: int) -> int:
    return -(-length // 64) * 64


def _padded(rows: Sequence[list[int]], value: int) -> Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)
