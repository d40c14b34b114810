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
    least `least`; below it `note`, and the names of the others."""

    make: Callable[[Sequence[str]], Table]
    columns: Sequence[str]
    least: int = 1
    note: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        count = len(self.columns)
        while count > self.least and _width(self.make(self.columns[:count])) > options.max_width:
            count -= 1
        table = self.make(self.columns[:count])
        _share_out(table, options.max_width)
        yield table
        if self.note:
            yield Text.from_markup(f"[dim]{escape(self.note)}[/]")
        if left := ", ".join(self.columns[count:]):
            yield Text.from_markup(f"[dim]in a wider terminal: {escape(left)}[/]")


def _share_out(table: Table, room: int) -> None:
    """Give each column that folds its least width, and the first of them what is left over: rich alone would take from
    the widest one."""
    spare = room - _width(table)
    if spare < 0:
        return
    for column in table.columns:
        if not column.no_wrap:
            least, widest = _column(column), _widest(column)
            column.width = least + min(spare, widest - least)
            spare -= column.width - least


def least_width(head: str, cells: Sequence[str]) -> int:
    """Of a dial's column that folds: no head is broken."""
    return max(cell_len(head), min(max(map(cell_len, cells), default=0), NARROW))


def _width(table: Table) -> int:
    """What it needs, so that no cell is cut and none is folded into less than its column's least width, or NARROW."""
    between = _BETWEEN - 1 if table.collapse_padding else _BETWEEN
    return sum(map(_column, table.columns)) + between * (len(table.columns) - 1) + 2


def _column(column: Column) -> int:
    widest = _widest(column)
    return widest if column.no_wrap else min(widest, column.min_width or NARROW)


def _widest(column: Column) -> int:
    cells = (column.header, *column.cells)
    return max(cell_len(line) for cell in cells for line in Text.from_markup(str(cell)).plain.split("\n"))
