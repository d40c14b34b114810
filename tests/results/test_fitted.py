"""Tables at the width of the terminal: nothing is cut, what has no room is named."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from vsd.run.results.fitted import Fitted

NUMBERS = ("speed/decode", "speed/end_to_end", "accept/length")


def made(columns: Sequence[str]) -> Table:
    """One run: a dial with a long value, and a number a column."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("data.path", overflow="fold", min_width=12)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("/a/very/long/path/to/a/folder/of/videos", *("[bold]12.34x ±.56[/]" for _ in columns))
    return table


@pytest.mark.parametrize(("width", "shown"), [(100, 3), (66, 3), (55, 2), (40, 1), (20, 1)])
def test_as_many_columns_as_there_is_room_for(width: int, shown: int) -> None:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(Fitted(make=made, columns=NUMBERS))
    said = console.export_text()
    left = NUMBERS[shown:]
    assert ("in a wider terminal: " + ", ".join(left) in " ".join(said.split())) == bool(left)
    if width > 20:  # the least is printed all the same
        assert said.count("12.34x ±.56") == shown
        assert "…" not in said
    assert max(map(len, said.splitlines())) <= width
