"""Text that any file, terminal or service takes."""

from __future__ import annotations

from rich.markup import escape


def printable(text: str) -> str:
    """The text with an escape for each half character: what is left of a file name that is no UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def plain(text: str) -> str:
    """Text that is none of the terminal's commands."""
    return escape(printable(text))
