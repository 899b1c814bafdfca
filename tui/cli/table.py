"""Plain aligned tables, made without Rich, whose import alone would take a third of a listing's time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui.cli.terminal import cells, columns, cut, pad, paint

_GAP = "  "
_LEAST = 12


@dataclass(frozen=True)
class Column:
    """A column of a table.

    `head`: when cut, how many of its first characters stay before the mark; the rest of the room goes to its end.
    """

    title: str
    right: bool = False
    flexible: bool = False
    head: int | None = None


@dataclass(frozen=True)
class Cell:
    """A text and its colour."""

    text: str
    colour: str | None = None


def render(table: Sequence[Column], rows: Sequence[Sequence[Cell]], *, indent: str = "", titles: bool = True) -> str:
    """The lines of a table; the flexible columns are cut until it fits the terminal."""
    widths = [
        max(cells(column.title) if titles else 0, *(cells(row[index].text) for row in rows), 0)
        for index, column in enumerate(table)
    ]
    limit = columns()
    if limit is not None:
        for index in reversed([index for index, column in enumerate(table) if column.flexible]):
            excess = len(indent) + sum(widths) + len(_GAP) * (len(table) - 1) - limit
            if excess > 0:
                widths[index] = min(widths[index], max(_LEAST, widths[index] - excess))
    lines = [_line(table, [Cell(column.title, "dim") for column in table], widths)] if titles else []
    lines += [_line(table, row, widths) for row in rows]
    return "\n".join(indent + line for line in lines)


def _line(table: Sequence[Column], row: Sequence[Cell], widths: Sequence[int]) -> str:
    shown = []
    for column, cell, width in zip(table, row, widths, strict=True):
        last = column is table[-1] and not column.right
        text = cut(cell.text, width, head=column.head)
        shown.append(paint(text if last else pad(text, width, right=column.right), cell.colour))
    return _GAP.join(shown).rstrip()
