"""Lines and aligned tables, in colour where a terminal shows it.

Bars are drawn by rich (see ``progress``). Tables are not: rich takes as long for one as reading the largest header.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

import click

NARROWEST = 9
"""Characters a line of a column that goes on in the next line has at least, however narrow the terminal."""
_GAP = 2
_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33}

Cell = str | tuple[str, str]
"""What stands in a table: a text, or a text and its style."""


class Terminal:
    """Standard output: how wide it is, and whether it is one that shows colours."""

    def __init__(self) -> None:
        """Look at what is there."""
        self.is_terminal = sys.stdout.isatty()
        self.width = _columns() if self.is_terminal else 400  # nothing is cut for a pipe
        shows = (self.is_terminal and os.environ.get("TERM") != "dumb") or bool(os.environ.get("FORCE_COLOR"))
        self._colours = shows and not os.environ.get("NO_COLOR")

    def styled(self, text: str, style: str) -> str:
        """The text as this terminal shows the style: one of bold, dim, red, green, yellow, or none."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style and self._colours and text.strip() else text

    def print(self, *lines: str, style: str = "", end: str = "\n") -> None:
        """Print lines in one style."""
        for line in lines or ("",):
            click.echo(self.styled(line, style) + end, nl=False, color=True)

    def put(self, table: Table) -> None:
        """Print a table with no blanks at the ends of its lines, no narrower than its columns can bear."""
        heads = [[(name, "dim") for name in table.columns]] if table.headed else []
        rows = [*heads, *([cell if isinstance(cell, tuple) else (cell, "") for cell in row] for row in table.rows)]
        widths = _widths([[text for text, _ in row] for row in rows], table, self.width)
        right = [name in table.right for name in table.columns]
        lines = [line + "\n" for row in rows for line in self._lines(row, widths, right)]
        click.echo("".join(lines), nl=False, color=True)

    def _lines(self, row: list[tuple[str, str]], widths: list[int], right: list[bool]) -> Iterator[str]:
        folded = [_folded(text, width) for (text, _), width in zip(row, widths, strict=True)]
        for parts in zip_longest(*folded, fillvalue=""):
            aligned = [_filled(part, width, to) for part, width, to in zip(parts, widths, right, strict=True)]
            while aligned and not aligned[-1].strip():
                aligned.pop()
            aligned[-1:] = [text.rstrip() for text in aligned[-1:]]
            yield (" " * _GAP).join(self.styled(text, style) for text, (_, style) in zip(aligned, row, strict=False))


def _columns() -> int:
    """As shutil says it, whose import would take longer."""
    stated = os.environ.get("COLUMNS", "")
    return int(stated if stated.isdecimal() else 0) or os.get_terminal_size(sys.stdout.fileno()).columns or 80


@dataclass(slots=True)
class Table:
    """Rows under the names of their columns; those in ``right`` are aligned to the right.

    Where the terminal is too narrow, the columns in ``fold`` go on in the next line, and the others stay whole.
    """

    columns: tuple[str, ...]
    right: tuple[str, ...] = ()
    fold: tuple[str, ...] = ()
    headed: bool = True
    rows: list[list[Cell]] = field(default_factory=list)

    def add(self, *cells: Cell) -> None:
        """Add a row."""
        self.rows.append(list(cells))


def _widths(rows: list[list[str]], table: Table, room: int) -> list[int]:
    """How wide each column is: what its longest text needs, those that may fold as narrow as they must."""
    widths = [max(map(cells_of, column), default=0) for column in zip(*rows, strict=True)]
    least = [min(w, NARROWEST) if c in table.fold else w for c, w in zip(table.columns, widths, strict=True)]
    room = max(room - _GAP * (len(widths) - 1), sum(least))
    over = sum(widths) - room
    while over > 0:
        widest = max((i for i, w in enumerate(widths) if w > least[i]), key=lambda i: widths[i])
        others = (w for i, w in enumerate(widths) if i != widest and w > least[i])
        cut = min(over, max(1, widths[widest] - max(least[widest], *others, 0)))
        widths[widest] -= cut
        over -= cut
    return widths


def _folded(text: str, width: int) -> list[str]:
    """The lines of a text, apart between words and the parts of names where that wastes less than half a line."""
    if cells_of(text) <= width:
        return [text]
    lines, start = [], 0
    while start < len(text):
        end, room = start, width
        while end < len(text) and (taken := cells_of(text[end])) <= room:
            end, room = end + 1, room - taken
        end = max(end, start + 1)
        apart = max(text.rfind(mark, start, end) for mark in " ._-/") + 1
        if end < len(text) and text[end] != " " and apart - start > (end - start) // 2:
            end = apart
        lines.append(text[start:end].rstrip())
        while end < len(text) and text[end] == " ":
            end += 1
        start = end
    return lines


def _filled(text: str, width: int, right: bool) -> str:
    """The text among blanks that fill its column."""
    count = width + len(text) - cells_of(text)
    return text.rjust(count) if right else text.ljust(count)


def cells_of(text: str) -> int:
    """Columns that a text takes on a terminal: two for wide characters, none for those set over another."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
