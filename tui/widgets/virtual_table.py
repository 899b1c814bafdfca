"""A table on the Line API: costs what is on the screen, whatever the number of rows. What the rows are, heirs say."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

Looks = tuple[object, ...]


class VirtualTable(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines under a head, one of them under the cursor. The selection sticks to what a line stands for."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header", "table--cursor", "table--cursor-blurred", "table--muted", "table--group", "table--marked",
    }  # fmt: skip
    DEFAULT_CSS: ClassVar[str] = """
    VirtualTable { height: 1fr; width: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    VirtualTable > .table--header { color: $text-muted; text-style: bold; }
    VirtualTable > .table--cursor { background: $primary; color: $text; text-style: bold; }
    VirtualTable > .table--cursor-blurred { background: $surface-lighten-2; }
    VirtualTable > .table--muted { color: $text-muted; }
    VirtualTable > .table--group { text-style: bold; color: $text-accent; }
    VirtualTable > .table--marked { color: $text-warning; text-style: bold; }
    """
    GUTTER = 0
    """Cells at the left where a click marks a line."""

    cursor: reactive[int] = reactive(0, repaint=False)

    class OfTable(Message):
        """Something happened in a table; `key` says to which line."""

        def __init__(self, table: VirtualTable, key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> VirtualTable:
            return self.table

    class Selected(OfTable):
        """Another line is under the cursor (or none)."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, VirtualTable.Selected) and message.table is self.table

    class Opened(OfTable):
        """A line was clicked twice."""

    class Marked(OfTable):
        """A line's mark was clicked."""

    class HeadClicked(OfTable):
        """A column's head was clicked; `key` is the column's id."""

    class Scrolled(OfTable):
        """Other lines came into view."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, VirtualTable.Scrolled) and message.table is self.table

    def __init__(self, *, ascii_only: bool = False, leap: bool = True, id: str | None = None) -> None:
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self.leap = leap
        """Scroll by half pages, so that most moves write two rows and not the whole table."""
        self.lines: Sequence[Any] = ()
        self.empty_text: tuple[str, ...] = ()
        self._selected: str | None = None
        self._painted: dict[int, Looks] = {}

    # What the heirs say

    @abstractmethod
    def line_key(self, line: Any) -> str:
        """What a line stands for, over all refreshes."""

    @abstractmethod
    def looks_of(self, line: Any) -> Looks:
        """All that the looks of a line depend on, but for the cursor."""

    @abstractmethod
    def draw(self, line: Any, style: Style, *, under_cursor: bool, width: int) -> Strip:
        """One line."""

    @abstractmethod
    def draw_head(self, width: int, style: Style) -> Strip:
        """The titles."""

    def column_at(self, x: int) -> str | None:
        """The id of the column whose head is in this cell."""
        return None

    # The lines

    @property
    def selected_line(self) -> Any:
        """The line under the cursor, if there is one."""
        return self.lines[self.cursor] if 0 <= self.cursor < len(self.lines) else None

    @property
    def selected_key(self) -> str | None:
        """What the line under the cursor stands for."""
        line = self.selected_line
        return None if line is None else self.line_key(line)

    def set_lines(self, lines: Sequence[Any], select: str | None = None) -> None:
        """Show these lines; the selected one stays selected wherever it is now.

        Args:
            lines: in the order to show them.
            select: the key of the line to select, where it is among them.
        """
        wanted = select or self._selected
        before = len(self.lines)
        self.lines = lines
        index = next((at for at, line in enumerate(lines) if self.line_key(line) == wanted), None) if wanted else None
        if index is None:
            index = min(self.cursor, max(0, len(lines) - 1))
        moved = index != self.cursor
        self.set_reactive(VirtualTable.cursor, index)
        if len(lines) != before:
            self.virtual_size = Size(self.size.width, len(lines) + 1)
        if moved:
            self._scroll_to_cursor()
        self._note_selection()
        self.refresh_changed()
        self.post_message(self.Scrolled(self, None))

    def visible_lines(self) -> Sequence[Any]:
        """The lines on the screen."""
        top = self._top
        return self.lines[top : top + self._page]

    def refresh_changed(self) -> None:
        """Repaint the lines that would look different now."""
        height = self.size.height
        if not height:
            return
        for y in range(1, height):
            if self._looks_at(y) != self._painted.get(y, ()):
                self.refresh(Region(0, y, self.size.width, 1))

    def refresh_head(self) -> None:
        """Repaint the titles."""
        self.refresh(Region(0, 0, self.size.width, 1))

    # Moving

    def move_by(self, rows: int) -> None:
        """Move the cursor."""
        if self.lines:
            self.cursor = min(max(self.cursor + rows, 0), len(self.lines) - 1)

    def move_page(self, halves: int) -> None:
        """Move the cursor by half pages."""
        self.move_by(halves * max(1, self._page // 2))

    def move_to_start(self) -> None:
        """Move the cursor to the first line."""
        self.move_by(-len(self.lines))

    def move_to_end(self) -> None:
        """Move the cursor to the last line."""
        self.move_by(len(self.lines))

    @property
    def ellipsis(self) -> str:
        """What stands for text that was cut."""
        return "~" if self.ascii_only else "…"

    @property
    def row_width(self) -> int:
        """Cells that a row has: the scroll bar takes some."""
        return self.scrollable_content_region.width

    @property
    def _top(self) -> int:
        return int(self.scroll_offset.y)

    @property
    def _page(self) -> int:
        return max(1, self.size.height - 1)

    def validate_cursor(self, value: int) -> int:
        return min(max(value, 0), max(0, len(self.lines) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        if not self._scroll_to_cursor():
            self._refresh_line(old)
            self._refresh_line(new)
        self._note_selection()

    def _note_selection(self) -> None:
        key = self.selected_key
        if key != self._selected:
            self._selected = key
            self.post_message(self.Selected(self, key))

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
        target = min(max(target, 0), max(0, len(self.lines) - page))
        self.scroll_to(y=target, animate=False, immediate=True)
        self.post_message(self.Scrolled(self, None))
        return True

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.post_message(self.Scrolled(self, None))

    def on_resize(self) -> None:
        self._painted.clear()
        self.virtual_size = Size(self.size.width, len(self.lines) + 1)
        self._scroll_to_cursor()
        self.post_message(self.Scrolled(self, None))

    def on_focus(self) -> None:
        self._refresh_line(self.cursor)

    def on_blur(self) -> None:
        self._refresh_line(self.cursor)

    def _refresh_line(self, index: int) -> None:
        y = index - self._top + 1
        if 1 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def on_click(self, event: events.Click) -> None:
        index = self._top + event.y - 1
        if event.y < 1:
            column = self.column_at(event.x)
            if column is not None:
                self.post_message(self.HeadClicked(self, column))
        elif index < len(self.lines):
            self.cursor = index
            key = self.line_key(self.lines[index])
            if event.x < self.GUTTER:
                self.post_message(self.Marked(self, key))
            elif event.chain == 2:
                self.post_message(self.Opened(self, key))

    # Drawing

    def _looks_at(self, y: int) -> Looks:
        index = self._top + y - 1
        if not 0 <= index < len(self.lines):
            return (index == 0, self.empty_text if not self.lines else (), y)
        return (*self.looks_of(self.lines[index]), index == self.cursor)

    def render_line(self, y: int) -> Strip:
        """The head, then a line each."""
        width, base = self.row_width, self.rich_style
        if y == 0:
            style = base + self.get_component_rich_style("table--header", partial=True)
            return self.draw_head(width, style)
        self._painted[y] = self._looks_at(y)
        index = self._top + y - 1
        if index < len(self.lines):
            under_cursor = index == self.cursor
            if under_cursor:
                name = "table--cursor" if self.has_focus else "table--cursor-blurred"
                base = base + self.get_component_rich_style(name, partial=True)
            return self.draw(self.lines[index], base, under_cursor=under_cursor, width=width)
        text = self.empty_text[y - 2] if not self.lines and 0 <= y - 2 < len(self.empty_text) else ""
        return Strip([Segment(f" {text}"[:width].ljust(width), base)])


class Segments:
    """A line being drawn: neighbours of one style become one segment, since each change costs forty bytes."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self._plain: list[str] = []
        self._done: list[Segment] = []

    def add(self, text: str, style: Style | None = None) -> None:
        """Some text, in the line's own style where none is given."""
        if style is None or style == self.style:
            self._plain.append(text)
            return
        self._flush()
        self._done.append(Segment(text, style))

    def strip(self, width: int, ellipsis: str = "") -> Strip:
        """The whole line, in exactly so many cells; the sign at its end where more was cut than blanks."""
        self._flush()
        whole = Strip(self._done)
        if ellipsis and width and cell_len(whole.text.rstrip()) > width:
            whole = Strip.join([whole.crop(0, width - 1), Strip([Segment(ellipsis, self.style)])])
        return whole.adjust_cell_length(width, self.style)

    def _flush(self) -> None:
        if self._plain:
            self._done.append(Segment("".join(self._plain), self.style))
            self._plain = []
