"""Tokens as text, one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def pieces(decode: Callable[[Sequence[int]], str], tokens: Sequence[int]) -> tuple[str, ...]:
    """What each token adds to the text: joined, they are the text. A token that ends inside a character adds nothing,
    the one that completes it adds the whole."""
    texts, first, read = list[str](), 0, 0
    # Only the tokens from the last piece on are decoded, and with that piece, since how a tokenizer puts a token can
    # depend on the one before it.
    for count in range(1, len(tokens) + 1):
        known, text = (decode(tokens[first:end]) for end in (read, count))
        whole = count == len(tokens) or not text.endswith("\ufffd")
        texts.append(text[len(known) :] if whole else "")
        if texts[-1]:
            first, read = read, count
    return tuple(texts)
