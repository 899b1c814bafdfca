"""Lines with a cursor, for lists in which one line is looked at or opened: events, options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from tui.widgets.lines import Lines, TextLines
from tui.widgets.log_view import LogView


class CursorView(LogView):
    """A view whose movement keys move a cursor; where it follows the end, the cursor does."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"cursor-view--cursor"}
    DEFAULT_CSS: ClassVar[str] = """
    CursorView > .cursor-view--cursor { background: $primary; color: $text; text-style: bold; }
    """

    class Moved(Message):
        """The cursor is on another line, or that line is another one."""

        def __init__(self, view: CursorView, line: int) -> None:
            super().__init__()
            self.view = view
            self.line = line

        @property
        def control(self) -> CursorView:
            return self.view

    class Opened(Message):
        """A line was clicked while the cursor was on it."""

        def __init__(self, view: CursorView, line: int) -> None:
            super().__init__()
            self.view = view
            self.line = line

        @property
        def control(self) -> CursorView:
            return self.view

    cursor = 0
    stops: frozenset[int] | None = None
    """The lines that the cursor may stand on; None for all."""

    def show_lines(
        self, lines: Sequence[str], kinds: Sequence[str] = (), *, stops: Sequence[int] | None = None
    ) -> None:
        """Show these lines, the cursor where it was, or at the end where that is followed. Nothing is drawn anew that
        is as before.

        Args:
            lines, kinds: as TextLines has them.
            stops: the lines that the cursor may stand on; all where left out.
        """
        fresh = TextLines(lines, kinds)
        wanted = None if stops is None else frozenset(stops)
        if fresh == self.source and wanted == self.stops:
            return
        top, cursor = self.top, self.cursor
        self.stops = wanted
        self.show(fresh)
        self._set_place((top, 0))
        self.set_cursor(self.source.line_count - 1 if self.following else cursor, tell=True)

    def show(self, source: Lines) -> None:
        following, self.following = self.following, False  # the cursor does it
        super().show(source)
        self.following = following

    def set_cursor(self, line: int, *, tell: bool = False) -> None:
        """Put the cursor on a line, or the nearest that it may stand on."""
        line = self._allowed(min(max(line, 0), max(0, self.source.line_count - 1)), 1 if line >= self.cursor else -1)
        if line != self.cursor or tell:
            self.cursor = line
            self.post_message(self.Moved(self, line))
            self.refresh()
        height = max(1, self.size.height)
        if line < self.top:
            # The heading above the first option comes into view with it.
            self._set_place((line if line > 1 else 0, 0))
        elif line >= self.top + height:
            self._set_place((line - height + 1, 0))

    def _allowed(self, line: int, direction: int) -> int:
        if self.stops is None or not self.stops:
            return line
        for step in (direction, -direction):
            at = line
            while 0 <= at < self.source.line_count:
                if at in self.stops:
                    return at
                at += step
        return line

    def move_by(self, rows: int) -> None:
        """Move the cursor; up ends following, the last line takes it up again where it was wanted at all."""
        if rows < 0:
            self.set_following(False)
        self.set_cursor(self.cursor + rows)

    def move_to_start(self) -> None:
        """To the first line."""
        self.set_following(False)
        self.set_cursor(0)
        self._set_place((0, 0))

    def move_to_end(self) -> None:
        """To the last line."""
        self.set_cursor(self.source.line_count - 1)

    def go_to(self, number: int) -> None:
        super().go_to(number)
        self.set_cursor(number)

    def on_resize(self) -> None:
        super().on_resize()
        self.set_cursor(self.cursor)

    def on_click(self, event: events.Click) -> None:
        """To the line that was clicked; open it where the cursor was there."""
        rows = self._rows()
        if event.y < len(rows):
            line = rows[event.y][0]
            if line == self.cursor:
                self.post_message(self.Opened(self, line))
            else:
                self.set_following(False)
                self.set_cursor(line)

    def render_line(self, y: int) -> Strip:
        """One row, marked where the cursor is."""
        strip = super().render_line(y)
        rows = self._rows()
        if y < len(rows) and rows[y][0] == self.cursor and self.source.line_count:
            style: Style = self.get_component_rich_style("cursor-view--cursor", partial=True)
            return Strip(Segment.apply_style(strip, post_style=style), strip.cell_length)
        return strip
