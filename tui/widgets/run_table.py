"""The runs table: virtual, on the Line API. Costs what is on the screen, whatever the number of runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.store.buckets import Buckets
from engine.store.summary import RunSummary
from tui import format
from tui.widgets.chart import OKABE_ITO
from tui.widgets.run_columns import LIVE, NAME, STATUS, Column, fit_columns, fit_text
from tui.widgets.sparkline import sparkline

_RowKey = tuple[object, ...]


class RunTable(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows of run summaries, given already filtered and sorted. The selection sticks to a run, not to a row."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "run-table--header",
        "run-table--cursor",
        "run-table--cursor-blurred",
        "run-table--muted",
    }
    DEFAULT_CSS: ClassVar[str] = """
    RunTable { height: 1fr; width: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    RunTable > .run-table--header { color: $text-muted; text-style: bold; }
    RunTable > .run-table--cursor { background: $primary; color: $text; text-style: bold; }
    RunTable > .run-table--cursor-blurred { background: $surface-lighten-2; }
    RunTable > .run-table--muted { color: $text-muted; }
    """

    cursor: reactive[int] = reactive(0, repaint=False)

    class Selected(Message):
        """Another run is under the cursor (or none)."""

        def __init__(self, run_id: str | None) -> None:
            super().__init__()
            self.run_id = run_id

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RunTable.Selected)

    class Opened(Message):
        """A run was clicked twice."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id

    class Scrolled(Message):
        """Other rows came into view."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RunTable.Scrolled)

    def __init__(self, *, ascii_only: bool = False, leap: bool = True, id: str | None = None) -> None:
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self.leap = leap
        """Scroll by half pages, so that most moves write two rows and not the whole table."""
        self.rows: Sequence[RunSummary] = ()
        self.sort_key = "age"
        self.sort_reverse = True
        self.empty_text: tuple[str, ...] = ()
        self._selected: str | None = None
        self._sparks: dict[str, str] = {}
        self._columns: list[tuple[Column, int]] = []
        self._columns_for = -1
        self._painted: dict[int, _RowKey] = {}
        self._now = time.time()

    @property
    def selected(self) -> RunSummary | None:
        """The run under the cursor."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    @property
    def columns(self) -> list[tuple[Column, int]]:
        """The columns on the screen, with their widths."""
        width = self._width
        if width != self._columns_for:  # a scroll bar that comes or goes changes it too
            self._columns, self._columns_for = fit_columns(width), width
        return self._columns

    def set_rows(self, rows: Sequence[RunSummary], select: str | None = None) -> None:
        """Show these runs; the selected one stays selected wherever it is now.

        Args:
            rows: in the order to show them.
            select: the run to select, where it is among them.
        """
        wanted = select or self._selected
        before = len(self.rows)
        self.rows = rows
        index = next((at for at, run in enumerate(rows) if run.id == wanted), None) if wanted else None
        if index is None:
            index = min(self.cursor, max(0, len(rows) - 1))
        moved = index != self.cursor
        self.set_reactive(RunTable.cursor, index)
        if len(rows) != before:
            self.virtual_size = Size(self.size.width, len(rows) + 1)
        if moved:
            self._scroll_to_cursor()
        self._note_selection()
        self.refresh_changed(time.time())
        self.post_message(self.Scrolled())

    def set_sparks(self, sparks: Mapping[str, Buckets]) -> None:
        """New curves of live rows."""
        for run_id, buckets in sparks.items():
            self._sparks[run_id] = sparkline(buckets, ascii_only=self.ascii_only)
        self.refresh_changed(self._now)

    def set_sort(self, key: str, reverse: bool) -> None:
        """Which column the rows are sorted by, for the header."""
        self.sort_key, self.sort_reverse = key, reverse
        self.refresh(Region(0, 0, self.size.width, 1))

    def visible_ids(self) -> list[str]:
        """The runs on the screen."""
        top = self._top
        return [run.id for run in self.rows[top : top + self._page]]

    def move_by(self, rows: int) -> None:
        """Move the cursor."""
        if self.rows:
            self.cursor = min(max(self.cursor + rows, 0), len(self.rows) - 1)

    def move_page(self, halves: int) -> None:
        """Move the cursor by half pages."""
        self.move_by(halves * max(1, self._page // 2))

    def move_to_start(self) -> None:
        """Move the cursor to the first row."""
        self.move_by(-len(self.rows))

    def move_to_end(self) -> None:
        """Move the cursor to the last row."""
        self.move_by(len(self.rows))

    def refresh_changed(self, now: float) -> None:
        """Repaint the rows that would look different now."""
        self._now = now
        height = self.size.height
        if not height:
            return
        for line in range(1, height):
            if self._row_key(line) != self._painted.get(line, ()):
                self.refresh(Region(0, line, self.size.width, 1))

    @property
    def _ellipsis(self) -> str:
        return "~" if self.ascii_only else "…"

    @property
    def _width(self) -> int:
        """Cells a row has: the scroll bar takes some."""
        return self.scrollable_content_region.width

    @property
    def _top(self) -> int:
        return int(self.scroll_offset.y)

    @property
    def _page(self) -> int:
        return max(1, self.size.height - 1)

    def validate_cursor(self, value: int) -> int:
        return min(max(value, 0), max(0, len(self.rows) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        if not self._scroll_to_cursor():
            self._refresh_row(old)
            self._refresh_row(new)
        self._note_selection()

    def _note_selection(self) -> None:
        run = self.selected
        run_id = run.id if run else None
        if run_id != self._selected:
            self._selected = run_id
            self.post_message(self.Selected(run_id))

    def _scroll_to_cursor(self) -> bool:
        """Bring the cursor into view; whether that scrolled."""
        top, page = self._top, self._page
        margin = page // 2 if self.leap else 0
        if self.cursor < top:
            target = self.cursor - margin
        elif self.cursor >= top + page:
            target = self.cursor - page + 1 + margin
        else:
            return False
        target = min(max(target, 0), max(0, len(self.rows) - page))
        self.scroll_to(y=target, animate=False, immediate=True)
        self.post_message(self.Scrolled())
        return True

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.post_message(self.Scrolled())

    def on_resize(self) -> None:
        self._painted.clear()
        self.virtual_size = Size(self.size.width, len(self.rows) + 1)
        self._scroll_to_cursor()
        self.post_message(self.Scrolled())

    def on_focus(self) -> None:
        self._refresh_row(self.cursor)

    def on_blur(self) -> None:
        self._refresh_row(self.cursor)

    def _refresh_row(self, row: int) -> None:
        line = row - self._top + 1
        if 1 <= line < self.size.height:
            self.refresh(Region(0, line, self.size.width, 1))

    def on_click(self, event: events.Click) -> None:
        row = self._top + event.y - 1
        if event.y >= 1 and row < len(self.rows):
            self.cursor = row
            if event.chain == 2:
                self.post_message(self.Opened(self.rows[row].id))

    def _row_key(self, line: int) -> _RowKey:
        """All that a row's looks depend on."""
        row = self._top + line - 1
        if not 0 <= row < len(self.rows):
            return (row == 0, self.empty_text if not self.rows else (), line)
        run = self.rows[row]
        cells = tuple(column.cell(run, self._now) for column, _ in self.columns)
        return (run.id, cells, self._sparks.get(run.id) if run.status.is_live else None, row == self.cursor)

    def render_line(self, y: int) -> Strip:
        """The header, then a row a line."""
        width = self._width
        base = self.rich_style
        if y == 0:
            return self._header(width, base)
        self._painted[y] = self._row_key(y)
        row = self._top + y - 1
        if row < len(self.rows):
            return self._row(self.rows[row], row == self.cursor, width, base)
        text = self.empty_text[y - 2] if not self.rows and 0 <= y - 2 < len(self.empty_text) else ""
        return Strip([Segment(f" {text}"[:width].ljust(width), base)])

    def _header(self, width: int, base: Style) -> Strip:
        style = base + self.get_component_rich_style("run-table--header", partial=True)
        arrow = ("v" if self.sort_reverse else "^") if self.ascii_only else ("▼" if self.sort_reverse else "▲")
        cells = []
        for column, size in self.columns:
            title = f"{column.title}{arrow}" if column.id == self.sort_key else column.title
            cells.append(fit_text(title, size, right=column.right))
        return Strip([Segment(" ".join(cells)[:width].ljust(width), style)])

    def _row(self, run: RunSummary, under_cursor: bool, width: int, base: Style) -> Strip:
        style = base
        if under_cursor:
            name = "run-table--cursor" if self.has_focus else "run-table--cursor-blurred"
            style = base + self.get_component_rich_style(name, partial=True)
        segments: list[Segment] = []
        plain: list[str] = []
        for column, size in self.columns:
            colored: Style | None = None
            text = column.cell(run, self._now)
            if column is STATUS:
                text = format.state_label(run.status, ascii_only=self.ascii_only)
                colored = style if under_cursor else style + Style(color=format.STATE_COLORS[run.status])
            elif column is LIVE:
                text = self._sparks.get(run.id, "") if run.status.is_live else ""
                colored = style + Style(color=None if under_cursor else OKABE_ITO[0]) if text.strip() else None
            elif column is NAME and run.star:
                text = f"{'*' if self.ascii_only else '★'}{text}"
            cell = fit_text(text, size, right=column.right, keep_end=column is NAME, ellipsis=self._ellipsis)
            # Few colour changes a row: each costs some forty bytes on the wire.
            if colored is None or colored == style:
                plain.append(f"{cell} ")
                continue
            if plain:
                segments.append(Segment("".join(plain), style))
                plain = []
            segments += [Segment(cell, colored), Segment(" ", style)]
        if plain:
            segments.append(Segment("".join(plain), style))
        return Strip(segments).adjust_cell_length(width, style)
