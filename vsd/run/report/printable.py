"""Text that any file, terminal or service takes."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with an escape for each half character: what is left of a file name that is no UTF-8."""
    return text.encode(errors="backslashreplace").decode()
