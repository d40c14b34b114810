"""Questions and answers as the tokens behind a video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vsd.models.base import chat

IGNORED = -100
"""The label of what is not learnt."""


@dataclass(frozen=True)
class Text:
    """The tokens behind the video and what follows each of them, IGNORED where it is no part of the answer.

    `begins_at` says for each token where what follows begins in the answer, in characters: 0 where the question has
    ended, -1 before."""

    ids: list[int]
    labels: list[int]
    begins_at: list[int]


class Prompter:
    """Puts them into the chat template of a processor; `before` are the tokens in front of the video."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.tokenizer = processor.tokenizer
        self.before: list[int] = self.tokenizer(self._turn("?")[0])["input_ids"]

    def __call__(self, question: str, answer: str) -> Text:
        question_ids = self.tokenizer(self._turn(question)[1])["input_ids"]
        encoded = self.tokenizer(answer, return_offsets_mapping=True)
        answer_ids = [*encoded["input_ids"], self.tokenizer.eos_token_id]
        begins = [*(begin for begin, _ in encoded["offset_mapping"]), len(answer)]
        silent, end = len(question_ids) - 1, question_ids.index(self.tokenizer.eos_token_id)
        begins_at = [-1] * end + [0] * (silent - end) + begins
        return Text(question_ids + answer_ids[:-1], [IGNORED] * silent + answer_ids, begins_at)

    def _turn(self, question: str) -> tuple[str, str]:
        before, _, behind = chat(self._processor, question).partition(self._processor.video_token)
        return before, behind
