"""Tables that leave columns out where a terminal is too narrow for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

NARROW = 12  # letters of a column that folds which a narrow terminal leaves whole
_BETWEEN = 3  # letters between two columns


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The table that `make` makes of as many of these `columns`, from the first on, as the terminal has room for, at
    least `least`; below it the names of the others."""

    make: Callable[[Sequence[str]], Table]
    columns: Sequence[str]
    least: int = 1

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        count = len(self.columns)
        while count > self.least and _width(self.make(self.columns[:count])) > options.max_width:
            count -= 1
        yield self.make(self.columns[:count])
        if left := ", ".join(self.columns[count:]):
            yield Text.from_markup(f"[dim]in a wider terminal: {escape(left)}[/]")


def _width(table: Table) -> int:
    """What it needs, so that no cell is cut and none is folded into less than its column's least width, or NARROW."""
    between = _BETWEEN - 1 if table.collapse_padding else _BETWEEN
    return sum(map(_column, table.columns)) + between * (len(table.columns) - 1) + 2


def _column(column: Column) -> int:
    cells = (column.header, *column.cells)
    widest = max(cell_len(line) for cell in cells for line in Text.from_markup(str(cell)).plain.split("\n"))
    return widest if column.no_wrap else min(widest, column.min_width or NARROW)
