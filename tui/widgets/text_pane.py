"""Lines of styled text that scroll: findings, reports, differences of code. Sentences wrap, drawings are cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.drawn_rows import DrawnRows


class TextPane(DrawnRows, can_focus=True):
    """Give it lines; those with `no_wrap` are drawn as they are, the others are wrapped below their own indent."""

    DEFAULT_CSS: ClassVar[str] = "TextPane { height: 1fr; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.source: tuple[Text, ...] = ()
        self.top = 0
        self.shift = 0
        self._lines: list[Text] = []

    @property
    def text(self) -> str:
        """All of it, as plain text."""
        return "\n".join(line.plain for line in self.source)

    def show(self, lines: Sequence[Text | str], *, keep_place: bool = True) -> None:
        """Show these lines.

        Args:
            lines: styled, or plain.
            keep_place: stay scrolled where it is; else begin at the top.
        """
        fresh = tuple(line if isinstance(line, Text) else Text(line) for line in lines)
        if not keep_place:
            self.top = self.shift = 0
        if fresh == self.source and keep_place:
            return
        self.source = fresh
        self._wrap()
        self.redraw()

    def _wrap(self) -> None:
        width = self.size.width
        self._lines = []
        for line in self.source:
            if not width or line.no_wrap or cell_len(line.plain) <= width:
                self._lines.append(line)
            else:
                self._lines += _wrapped(line, width, self)
        self.top = min(self.top, self._bottom)

    @property
    def _bottom(self) -> int:
        return max(0, len(self._lines) - self.size.height)

    def row_strip(self, y: int) -> Strip:
        """One line of what is in view."""
        base, at = self.rich_style, self.top + y
        if at >= len(self._lines):
            return Strip.blank(self.size.width, base)
        line = self._lines[at]
        if self.shift and line.no_wrap:
            line = line[self.shift :] if self.shift < len(line) else Text("")
        segments = [
            Segment(segment.text, base + segment.style if segment.style else base)
            for segment in line.render(self.app.console)
            if segment.text != "\n"
        ]
        return Strip(segments).adjust_cell_length(self.size.width, base)

    # Movement

    def move_by(self, rows: int) -> None:
        """Scroll."""
        top = min(max(self.top + rows, 0), self._bottom)
        if top != self.top:
            self.top = top
            self.redraw()

    def move_page(self, halves: int) -> None:
        """Scroll by half pages."""
        self.move_by(halves * max(1, self.size.height // 2))

    def move_to_start(self) -> None:
        """To the first line."""
        self.move_by(-len(self._lines))

    def move_to_end(self) -> None:
        """To the last line."""
        self.move_by(len(self._lines))

    def move_sideways(self, columns: int) -> None:
        """See what is further right on lines that are cut."""
        widest = max((cell_len(line.plain) for line in self._lines if line.no_wrap), default=0)
        self.shift = min(max(self.shift + columns, 0), max(0, widest - self.size.width))
        self.redraw()

    # Events

    def on_resize(self) -> None:
        self._wrap()
        self.redraw()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.move_by(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.move_by(-3)


def _wrapped(line: Text, width: int, pane: Widget) -> list[Text]:
    """One line as several, each below the beginning of its text."""
    indent = min(len(line.plain) - len(line.plain.lstrip(" ")), max(0, width - 8))
    body = line[indent:]
    parts = body.wrap(pane.app.console, max(1, width - indent))
    return [Text(" " * indent) + part for part in parts]
