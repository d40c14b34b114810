"""The tokenizer of all bundled models, and which of its tokens are facts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer

from vsd.zoo.small_events.asking import FACT_WORDS, corpus
from vsd.zoo.small_events.questions import NUMBERS, ORDINALS
from vsd.zoo.small_events.world import BACKGROUNDS, COLUMNS, LOOKS

CONTEXT = 4096
_VOCABULARY = 1000
_CLIPS = 300  # whose texts hold every word
_OFTEN = 200  # times that each fact's word is added to the texts, so that all of them are one token
_KINDS = {**{name: LOOKS[name] for name in LOOKS}, **BACKGROUNDS, "count": NUMBERS, "ordinal": ORDINALS}


@cache
def _trained() -> dict[str, Any]:
    """A byte-level BPE of the questions and answers, with the pre-tokenizer of Qwen's."""
    tokenizer = Tokenizer(models.BPE())
    blank = Qwen2Tokenizer(vocab={"<|endoftext|>": 0}, merges=[])
    tokenizer.pre_tokenizer = blank.backend_tokenizer.pre_tokenizer
    forms = [form for word in FACT_WORDS for form in _forms(word)]
    texts = ["system\nuser\nassistant\n", *forms] * _OFTEN + list(corpus(_CLIPS))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=_VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return model


def build_tokenizer(specials: Sequence[str]) -> Qwen2Tokenizer:
    """A tokenizer of the families' own class with these special tokens. The same each time."""
    state = _trained()
    vocab = {token: index + 3 for token, index in state["vocab"].items()}
    vocab |= {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
    merges: Any = [tuple(pair) for pair in state["merges"]]  # pairs, where the class says texts
    return Qwen2Tokenizer(
        vocab=vocab,
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>", *specials],
        model_max_length=CONTEXT,
    )


class Facts:
    """Which tokens are words of facts, and of which kind: every word is one token, wherever it stands."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._kind: dict[int, str] = {}
        for kind, words in _KINDS.items():
            for word in words:
                self._kind |= dict.fromkeys(self._ids(word), kind)
        self._columns = {token for word in COLUMNS for token in self._ids(word)}
        self._rows = {token for word in LOOKS["row"] for token in self._ids(word)}

    @property
    def tokens(self) -> list[int]:
        return sorted(self._kind)

    def kinds(self, tokens: Sequence[int]) -> list[str | None]:
        """The kind of each token of a text; None is wording. Left and right are columns behind a row, else motions."""
        kinds: list[str | None] = []
        for before, token in pairwise([-1, *tokens]):
            place = token in self._columns and before in self._rows
            kinds.append("column" if place else self._kind.get(token))
        return kinds

    def _ids(self, word: str) -> list[int]:
        forms = [self._tokenizer(form)["input_ids"] for form in _forms(word)]
        long = [form for form, ids in zip(_forms(word), forms, strict=True) if len(ids) > 1]
        if long:
            raise ValueError(f"tokenizer: must know each fact's word as one token, got parts for {long}")
        return [ids[0] for ids in forms]


def _forms(word: str) -> tuple[str, ...]:
    """As it may stand in a text: within a sentence or at its beginning, and first of all."""
    return tuple(before + form for before in (" ", "") for form in (word, word.capitalize()))
