"""Tables of at most some hundred rows: Textual's own, with our keys and a cursor that sticks to a row's key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import DataTable


@dataclass(frozen=True)
class Row:
    """One row.

    `key` says what it stands for, over all refreshes; cells are texts, styled (`Text`) or plain.
    """

    key: str
    cells: tuple[Text | str, ...]


class SmallTable(DataTable[Text], inherit_bindings=False):
    """Rows under a cursor. Shows nothing anew that is as it was, so that a quiet table sends nothing."""

    DEFAULT_CSS: ClassVar[str] = """
    SmallTable { height: 1fr; width: 1fr; background: transparent; scrollbar-size-vertical: 1; }
    SmallTable > .datatable--header { background: transparent; color: $text-muted; text-style: bold; }
    """

    class Chosen(Message):
        """Another row is under the cursor (or none)."""

        def __init__(self, table: SmallTable, key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> SmallTable:
            return self.table

    class Opened(Message):
        """A row was clicked twice."""

        def __init__(self, table: SmallTable, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> SmallTable:
            return self.table

    def __init__(self, columns: Sequence[str], *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, show_row_labels=False, cell_padding=1)
        self._titles = tuple(columns)
        self._rows: tuple[Row, ...] = ()
        self._last: str | None = None

    def on_mount(self) -> None:
        self.add_columns(*self._titles)

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        return self._rows[self.cursor_row].key if 0 <= self.cursor_row < len(self._rows) else None

    def show(self, rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
        """Show these rows, the cursor where it was.

        Args:
            rows: all rows, keys all different.
            columns: other titles; as before where left out.
        """
        fresh, kept, row_at = tuple(rows), self.selected, self.cursor_row
        titles = self._titles if columns is None else tuple(columns)
        if titles == self._titles and [row.key for row in fresh] == [row.key for row in self._rows]:
            for at, (old, new) in enumerate(zip(self._rows, fresh, strict=True)):
                for column, (before, now) in enumerate(zip(old.cells, new.cells, strict=True)):
                    if before != now:
                        self.update_cell_at((at, column), _text(now), update_width=True)  # type: ignore[arg-type]
            self._rows = fresh
            return
        if titles != self._titles:
            self._titles = titles
            self.clear(columns=True)
            self.add_columns(*titles)
        else:
            self.clear()
        self._rows = fresh
        for row in fresh:
            self.add_row(*(_text(cell) for cell in row.cells), key=row.key)
        keys = [row.key for row in fresh]
        if fresh:
            self.move_cursor(row=keys.index(kept) if kept in keys else min(row_at, len(keys) - 1), animate=False)
        self._tell()

    def select(self, key: str) -> None:
        """Put the cursor on a row."""
        keys = [row.key for row in self._rows]
        if key in keys:
            self.move_cursor(row=keys.index(key), animate=False)

    def move_by(self, rows: int) -> None:
        """Up or down."""
        if self._rows:
            self.move_cursor(row=min(max(self.cursor_row + rows, 0), len(self._rows) - 1), animate=False)

    def move_page(self, halves: int) -> None:
        """By half pages."""
        self.move_by(halves * max(1, (self.size.height - 1) // 2))

    def move_to_start(self) -> None:
        """To the first row."""
        self.move_by(-len(self._rows))

    def move_to_end(self) -> None:
        """To the last row."""
        self.move_by(len(self._rows))

    def move_sideways(self, columns: int) -> None:
        """Left or right, where it is wider than the screen."""
        self.scroll_relative(x=columns, animate=False)

    def on_data_table_row_highlighted(self, message: DataTable.RowHighlighted) -> None:
        """The cursor has moved."""
        message.stop()
        self._tell()

    def on_data_table_row_selected(self, message: DataTable.RowSelected) -> None:
        """Clicked where the cursor was already."""
        message.stop()
        if self.selected is not None:
            self.post_message(self.Opened(self, self.selected))

    def _on_mouse_move(self, event: events.MouseMove) -> None:
        """No hover: each move of the mouse would send kilobytes."""

    def _tell(self) -> None:
        if self.selected != self._last:
            self._last = self.selected
            self.post_message(self.Chosen(self, self.selected))


def _text(cell: Text | str) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)
