"""A table whose cells have a cursor: rows under titles that stay in sight, any number of columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.message import Message
from textual.strip import Strip

from tui.widgets.drawn_rows import DrawnRows

_GAP = 2
_LEAST_TITLE = 10


@dataclass(frozen=True)
class GridColumn:
    """One column: what it stands for, over all refreshes, and what stands above it."""

    key: str
    title: str


@dataclass(frozen=True)
class GridRow:
    """One row; a heading has no cells and the cursor passes over it."""

    key: str
    title: str
    cells: tuple[Text | str, ...] = ()
    heading: bool = False


class GridView(DrawnRows, can_focus=True):
    """Rows and columns with a cursor on one cell. Draws only the rows that changed.

    Args:
        ascii_only: no glyphs beyond ASCII.
        most: no column is wider than so many cells.
        keep_end: of titles that don't fit the middle goes rather than the end.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--title", "grid--head"}
    DEFAULT_CSS: ClassVar[str] = """
    GridView { height: 1fr; width: 1fr; }
    GridView > .grid--title { color: $text-muted; }
    GridView > .grid--head { text-style: bold; }
    """

    class Chosen(Message):
        """Another cell is under the cursor."""

        def __init__(self, grid: GridView) -> None:
            super().__init__()
            self.grid = grid

        @property
        def control(self) -> GridView:
            return self.grid

    class Opened(Message):
        """A cell was clicked that was under the cursor already."""

        def __init__(self, grid: GridView) -> None:
            super().__init__()
            self.grid = grid

        @property
        def control(self) -> GridView:
            return self.grid

    def __init__(
        self, *, ascii_only: bool = False, most: int = 18, keep_end: bool = False, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self.most = most
        self.keep_end = keep_end
        self.columns: tuple[GridColumn, ...] = ()
        self.rows: tuple[GridRow, ...] = ()
        self.row = 0
        self.column = 0
        self.marked: frozenset[tuple[str, str]] = frozenset()
        """Row and column keys of the cells that the viewer marked."""
        self.corner = ""
        self._top = 0
        self._left = 0
        self._widths: dict[str, int] = {}

    # What is shown

    @property
    def selected(self) -> tuple[str, str] | None:
        """The keys of the row and the column under the cursor."""
        if not (self.row < len(self.rows) and self.column < len(self.columns)) or self.rows[self.row].heading:
            return None
        return self.rows[self.row].key, self.columns[self.column].key

    def show(self, rows: Sequence[GridRow], columns: Sequence[GridColumn], *, corner: str = "") -> None:
        """Show these rows, the cursor on the cell where it was."""
        kept = self.selected
        fresh, titles = tuple(rows), tuple(columns)
        if (fresh, titles, corner) == (self.rows, self.columns, self.corner):
            return
        if [column.key for column in titles] != [column.key for column in self.columns]:
            self._widths = {}
        self.rows, self.columns, self.corner = fresh, titles, corner
        for at, column in enumerate(titles):
            widest = max((cell_len(_plain(row.cells[at])) for row in fresh if at < len(row.cells)), default=0)
            wanted = min(self.most, max(widest, cell_len(column.title), 4))
            # Never narrower than before: a figure that loses a digit would move everything beside it.
            self._widths[column.key] = max(wanted, self._widths.get(column.key, 0))
        if kept is not None:
            self.row = next((at for at, row in enumerate(fresh) if row.key == kept[0]), self.row)
            self.column = next((at for at, column in enumerate(titles) if column.key == kept[1]), self.column)
        self._settle()
        if kept != self.selected:
            self.post_message(self.Chosen(self))
        self.redraw()

    def set_marked(self, marked: frozenset[tuple[str, str]]) -> None:
        """Show which cells are marked."""
        self.marked = marked
        self.redraw()

    def select(self, row: str, column: str) -> None:
        """Put the cursor on a cell."""
        self._go(
            next((at for at, item in enumerate(self.rows) if item.key == row), self.row),
            next((at for at, item in enumerate(self.columns) if item.key == column), self.column),
        )

    def as_text(self) -> str:
        """All of it, apart by tabs, nothing cut."""
        lines = ["\t".join([self.corner, *(column.title for column in self.columns)])]
        lines += ["\t".join([row.title.strip(), *(_plain(cell).strip() for cell in row.cells)]) for row in self.rows]
        return "\n".join(lines) + "\n"

    # Movement

    def move_by(self, rows: int) -> None:
        """Up or down, over headings."""
        at, wanted = self.row, self.row + rows
        way = 1 if rows > 0 else -1
        found = [number for number, row in enumerate(self.rows) if not row.heading]
        if not found:
            return
        beyond = [number for number in found if (number - wanted) * way >= 0]
        nearest = (
            min(beyond, key=lambda number: abs(number - wanted)) if beyond else (found[-1] if way > 0 else found[0])
        )
        self._go(nearest if nearest != at else at, self.column)

    def move_page(self, halves: int) -> None:
        """By half pages."""
        self.move_by(halves * max(1, (self.size.height - 1) // 2))

    def move_to_start(self) -> None:
        """To the first row."""
        self.move_by(-len(self.rows))

    def move_to_end(self) -> None:
        """To the last row."""
        self.move_by(len(self.rows))

    def move_cell(self, columns: int) -> None:
        """To the left or right by cells."""
        self._go(self.row, min(max(self.column + columns, 0), max(0, len(self.columns) - 1)))

    def move_sideways(self, columns: int) -> None:
        """The keys for long lines go from cell to cell here."""
        self.move_cell(1 if columns > 0 else -1)

    def _go(self, row: int, column: int) -> None:
        if (row, column) == (self.row, self.column):
            return
        self.row, self.column = row, column
        self._settle()
        self.redraw()
        self.post_message(self.Chosen(self))

    def _settle(self) -> None:
        """Keep the cursor on a cell, and the cell in sight."""
        self.row = min(max(self.row, 0), max(0, len(self.rows) - 1))
        if self.rows and self.rows[self.row].heading:
            cells = [number for number, row in enumerate(self.rows) if not row.heading]
            self.row = min(cells, key=lambda number: (abs(number - self.row), -number), default=0)
        self.column = min(max(self.column, 0), max(0, len(self.columns) - 1))
        room = max(1, self.size.height - 1)
        first = self.row
        while first > 0 and self.rows[first - 1].heading:
            first -= 1  # a section's title comes into sight with its first row
        if first < self._top or self.row < self._top:
            self._top = first
        elif self.row >= self._top + room:
            self._top = self.row - room + 1
        self._top = min(self._top, max(0, len(self.rows) - room))
        if self.column < self._left:
            self._left = self.column
        while self._left < self.column and self.column not in self._visible():
            self._left += 1
        while self._left > 0 and self._visible(self._left - 1)[-1:] == [len(self.columns) - 1]:
            self._left -= 1  # no empty room on the right while something is hidden on the left

    # Drawing

    def _title_width(self) -> int:
        widest = max((cell_len(row.title) for row in self.rows if not row.heading), default=0)
        cells = sum(self._widths.get(column.key, 4) + _GAP for column in self.columns)
        most = max(_LEAST_TITLE, self.size.width * 2 // 5, self.size.width - cells)
        return min(max(widest, cell_len(self.corner) + 3, 4), most)

    def _visible(self, left: int | None = None) -> list[int]:
        """The numbers of the columns in sight."""
        start = self._left if left is None else left
        room = self.size.width - self._title_width()
        found: list[int] = []
        for number in range(start, len(self.columns)):
            room -= _GAP + self._widths.get(self.columns[number].key, 4)
            if room < 0 and found:
                break
            found.append(number)
        return found

    def row_strip(self, y: int) -> Strip:
        """One row of the table."""
        base, width = self.rich_style, self.size.width
        muted = base + self.get_component_rich_style("grid--title", partial=True)
        bold = base + self.get_component_rich_style("grid--head", partial=True)
        title_width, visible = self._title_width(), self._visible()
        if y == 0:
            left, right = "<>" if self.ascii_only else "‹›"
            more = (left if visible[:1] > [0] else " ") + (right if visible[-1:] < [len(self.columns) - 1] else " ")
            segments = [Segment(self._fit(self.corner, max(0, title_width - 3)), muted), Segment(f" {more}", bold)]
            for number in visible:
                style = bold if number == self.column else muted
                title = self._right(self.columns[number].title, number)
                segments += [Segment(" " * _GAP, base), Segment(title, style)]
            return Strip(segments).adjust_cell_length(width, base)
        at = self._top + y - 1
        if at >= len(self.rows):
            return Strip.blank(width, base)
        row = self.rows[at]
        if row.heading:
            return Strip([Segment(set_cell_size(row.title, width), bold)]).adjust_cell_length(width, base)
        here = at == self.row
        segments = [Segment(self._fit(row.title, title_width), bold if here else base)]
        for number in visible:
            cell = row.cells[number] if number < len(row.cells) else ""
            style = base + (
                Style.parse(cell.style) if isinstance(cell, Text) and isinstance(cell.style, str) else Style()
            )
            marked = (row.key, self.columns[number].key) in self.marked
            text = self._right(_plain(cell), number)
            gap = " " * _GAP
            if marked:
                style += Style(bold=True, underline=True)
                gap = " >" if self.ascii_only else " ▸"
            if here and number == self.column:
                style += Style(reverse=True) if self.has_focus else Style(bold=True, underline=True)
            segments += [Segment(gap, base), Segment(text, style)]
        return Strip(segments).adjust_cell_length(width, base)

    def _right(self, text: str, number: int) -> str:
        size = self._widths.get(self.columns[number].key, 4)
        cut = self._fit(text, size).rstrip() if cell_len(text) > size else text
        return " " * max(0, size - cell_len(cut)) + cut

    def _fit(self, text: str, size: int) -> str:
        """Text in exactly so many cells; what is too long loses its end, or its middle."""
        if cell_len(text) <= size:
            return text + " " * (size - cell_len(text))
        sign = "~" if self.ascii_only else "…"
        if self.keep_end and size > 6:
            tail = text[-(size // 2) :]
            return set_cell_size(set_cell_size(text, size - 1 - cell_len(tail)) + sign + tail, size)
        return set_cell_size(text, max(0, size - 1)) + sign

    # Events

    def on_resize(self) -> None:
        self._settle()
        self.redraw()

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """Choose a cell; the one under the cursor is opened."""
        event.stop()
        at, room = self._top + event.y - 1, event.x - self._title_width()
        if event.y == 0 or at >= len(self.rows) or self.rows[at].heading:
            return
        for number in self._visible():
            room -= _GAP + self._widths.get(self.columns[number].key, 4)
            if room < 0:
                break
        else:
            return
        if event.x < self._title_width():
            number = self.column
        if (at, number) == (self.row, self.column):
            self.post_message(self.Opened(self))
        else:
            self._go(at, number)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.move_by(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.move_by(-1)


def _plain(cell: Text | str) -> str:
    return cell.plain if isinstance(cell, Text) else cell
