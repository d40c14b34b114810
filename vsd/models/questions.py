"""Whether a question reaches a model as the text that it is."""

from __future__ import annotations

from typing import Any

from vsd.types import SampleError
from vsd.utils.validation import shortened


def check_question(processor: Any, question: str) -> None:
    """Raise SampleError for a question that holds a special token of the model, or characters that are no text.

    A media placeholder would ask for pixels that are not there. Tokens that control the chat (the end of a turn) are
    refused too: the model would be asked something else than the record says, and a data set's text could answer
    itself. Added tokens that the tokenizer does not call special (`<tool_call>`) are text.
    """
    try:
        question.encode()
    except UnicodeEncodeError:
        raise SampleError(f"question: must be text that UTF-8 can hold, got {shortened(question)}") from None
    special = _special(processor, question)
    if special is not None:
        raise SampleError(f"question: must hold no special token of the model, got {special!r}")


def _special(processor: Any, question: str) -> str | None:
    """The first special token that the processor or its tokenizer would read in this text."""
    tokenizer = processor.tokenizer
    # The processor writes over its placeholders before the tokenizer reads the text.
    placeholders = [getattr(processor, f"{kind}_token", None) for kind in ("image", "video", "audio")]
    for name in [*tokenizer.all_special_tokens, *placeholders]:
        if isinstance(name, str) and name and name in question:
            return name
    # A tokenizer may normalise a text until it holds one.
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    special -= {tokenizer.unk_token_id}
    numbers = tokenizer(question, add_special_tokens=False)["input_ids"]
    return next((tokenizer.convert_ids_to_tokens(number) for number in numbers if number in special), None)
