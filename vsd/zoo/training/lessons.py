"""What is learnt when: from few visual tokens and questions about single events to full prompts and all questions.

Large models tolerate pruned prompts untrained; small ones have to be shown some. It also makes the first lessons cheap,
in which the model learns to find one event. The steps are small: from 32 to 160 tokens at once, it forgets what it has
learnt.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

KEPT = (16, 32, 64, 160)
_SHARES = {
    "one": 0.16, "two": 0.17, "order": 0.20, "shot": 0.11, "everything": 0.13, "short": 0.09, "choice": 0.14
}  # fmt: skip
_SINGLE = {kind: _SHARES[kind] for kind in ("one", "shot", "short", "choice")}
_UNSEEN, _FULL = 0.15, 0.25


class Lesson(NamedTuple):
    """What batches hold until this share of the budget is spent: one of the numbers of visual tokens `kept`, or all of
    them in a share `full` of the batches; questions of `kinds`, by their shares where a clip can be asked them; and a
    share `unseen` in which not all of what is asked for is kept."""

    until: float
    kept: tuple[int, ...]
    kinds: dict[str, float] = _SHARES
    unseen: float = 0.0
    full: float = 0.0

    def draw_kept(self, rng: np.random.Generator) -> int | None:
        """Visual tokens of each prompt; None is all."""
        if rng.random() < self.full:
            return None
        return int(rng.choice(self.kept))

    def draw_kind(self, possible: tuple[str, ...], rng: np.random.Generator) -> str:
        shares = {kind: share for kind, share in self.kinds.items() if kind in possible}
        odds = np.array(list(shares.values()))
        return str(rng.choice(list(shares), p=odds / odds.sum()))


LESSONS = (
    Lesson(0.08, KEPT[:1], _SINGLE),
    Lesson(0.15, KEPT[:2], _SINGLE),
    Lesson(0.22, KEPT[:3], _SINGLE, unseen=_UNSEEN),
    Lesson(0.32, KEPT[1:3], unseen=_UNSEEN),
    Lesson(0.40, KEPT[1:], unseen=_UNSEEN),
    Lesson(1.00, KEPT, unseen=_UNSEEN, full=_FULL),
)

AT_ONCE = LESSONS[-1:]
"""No schedule: the last lesson from the beginning."""


def lesson_at(spent: float, lessons: tuple[Lesson, ...] = LESSONS) -> Lesson:
    return next((lesson for lesson in lessons if spent < lesson.until), lessons[-1])
