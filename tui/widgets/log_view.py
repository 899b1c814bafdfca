"""A view over lines of any number: a log that grows, a config, events. Reads only the lines on the screen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar, Protocol

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

_KEPT_STRIPS = 2000


class Lines(Protocol):
    """Where lines come from; `engine.store.logs.LogFile` is one."""

    @property
    def generation(self) -> int:
        """Grows when lines that were whole have changed."""
        ...

    @property
    def whole_lines(self) -> int:
        """Lines that can't change any more."""
        ...

    @property
    def line_count(self) -> int:
        """All lines."""
        ...

    def lines(self, start: int, stop: int) -> list[str]:
        """The lines from `start` up to but without `stop`."""
        ...

    def find(self, pattern: str, start: int, *, backwards: bool = False) -> int | None:
        """The next line that holds a text."""
        ...


class TextLines:
    """Lines of a text that doesn't change."""

    generation = 0

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = list(lines)

    @property
    def whole_lines(self) -> int:
        return len(self._lines)

    @property
    def line_count(self) -> int:
        return len(self._lines)

    def lines(self, start: int, stop: int) -> list[str]:
        return self._lines[max(0, start) : stop]

    def find(self, pattern: str, start: int, *, backwards: bool = False) -> int | None:
        numbers = range(min(start, len(self._lines) - 1), -1, -1) if backwards else range(start, len(self._lines))
        exact = pattern != pattern.lower()
        lines = self._lines if exact else [line.lower() for line in self._lines]
        return next((number for number in numbers if pattern and pattern in lines[number]), None)


class LogView(Widget, can_focus=True):
    """Lines with a search and, for logs, a tail that is followed until somebody scrolls up.

    It keeps its own place: a scroll view lays out the whole screen whenever the number of lines changes.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"log-view--match", "log-view--muted", "log-view--bad"}
    DEFAULT_CSS: ClassVar[str] = """
    LogView { height: 1fr; width: 1fr; }
    LogView > .log-view--match { background: $warning; color: $background; }
    LogView > .log-view--muted { color: $text-muted; }
    LogView > .log-view--bad { color: $text-error; }
    """

    class FollowChanged(Message):
        """The view began or ceased to follow the end."""

        def __init__(self, following: bool) -> None:
            super().__init__()
            self.following = following

    def __init__(self, *, follow: bool = False, empty_text: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self.source: Lines = TextLines(())
        self.following = follow
        self.empty_text = empty_text
        self.pattern = ""
        self.top = 0
        """The line in the first row."""
        self.shift = 0
        """Columns scrolled to the right."""
        self._strips: OrderedDict[int, Strip] = OrderedDict()
        self._seen: tuple[int, int] = (0, 0)
        self._last_painted: str | None = None

    def show(self, source: Lines) -> None:
        """Show lines, or those of the same source that are new."""
        changed = source is not self.source or source.generation != self._seen[0]
        if changed:
            if source is not self.source:
                self.shift, self.top = 0, 0
            self.source = source
            self._strips.clear()
            self.refresh()
        first_new = self._seen[1]
        self._seen = (source.generation, source.whole_lines)
        self._set_top(self._bottom if self.following else min(self.top, self._bottom))
        if not changed:
            self._refresh_from(first_new)

    def _refresh_from(self, number: int) -> None:
        """Repaint from a line on: what was whole before hasn't changed."""
        top = self.top
        for line in range(max(0, number - top), min(self.size.height, self.source.line_count - top)):
            at = top + line
            if at in self._strips and at < self.source.whole_lines:
                continue
            if at == self.source.whole_lines and self._last_painted == self._text(at):
                continue  # the unfinished last line looks the same
            self.refresh(Region(0, line, self.size.width, 1))

    def _text(self, number: int) -> str:
        found = self.source.lines(number, number + 1)
        return found[0] if found else ""

    @property
    def _bottom(self) -> int:
        """Where the view stands when its last row is the last line."""
        return max(0, self.source.line_count - self.size.height)

    def _set_top(self, top: int) -> None:
        top = min(max(top, 0), self._bottom)
        if top != self.top:
            self.top = top
            self.refresh()

    def set_following(self, following: bool) -> None:
        """Follow the end, or stay."""
        if following != self.following:
            self.following = following
            self.post_message(self.FollowChanged(following))
        if following:
            self._set_top(self._bottom)

    def move_by(self, rows: int) -> None:
        """Scroll; scrolling up ends following, reaching the end takes it up again."""
        if rows < 0 and self._bottom > 0:
            self.set_following(False)
        self._set_top(self.top + rows)

    def move_page(self, halves: int) -> None:
        """Scroll by half pages."""
        self.move_by(halves * max(1, self.size.height // 2))

    def move_to_start(self) -> None:
        """To the first line."""
        self.move_by(-self.source.line_count)

    def move_to_end(self) -> None:
        """To the last line."""
        self.move_by(self.source.line_count)

    def move_sideways(self, columns: int) -> None:
        """See what is further right on long lines."""
        self.shift = max(0, self.shift + columns)
        self._strips.clear()
        self.refresh()

    def search(self, pattern: str, *, backwards: bool = False, again: bool = False) -> bool:
        """Go to the next line that holds a text, from the top of the view on, round the end; whether there is one."""
        if pattern != self.pattern:
            self.pattern = pattern
            self._strips.clear()
            self.refresh()
        if not pattern:
            return False
        start = self._found_from(self.top, backwards, again)
        found = self.source.find(pattern, start, backwards=backwards)
        if found is None:
            around = self.source.line_count - 1 if backwards else 0
            found = self.source.find(pattern, around, backwards=backwards)
        if found is None:
            return False
        self._match = found
        self.set_following(False)
        if not self.top <= found < self.top + self.size.height:
            self._set_top(found - self.size.height // 3)
        return True

    _match: int | None = None

    def _found_from(self, top: int, backwards: bool, again: bool) -> int:
        if again and self._match is not None:
            return self._match + (-1 if backwards else 1)
        return top

    def on_resize(self) -> None:
        self._strips.clear()
        self._set_top(self._bottom if self.following else self.top)
        self.refresh()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.move_by(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.move_by(-3)

    def notify_style_update(self) -> None:
        """The theme changed: colours are part of the kept rows."""
        super().notify_style_update()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        """One line of the source."""
        number = self.top + y
        width = self.size.width
        base = self.rich_style
        if number >= self.source.line_count:
            text = self.empty_text if number == 0 and self.empty_text else ""
            muted = base + self.get_component_rich_style("log-view--muted", partial=True)
            return Strip([Segment(set_cell_size(text, width), muted)])
        kept = self._strips.get(number)
        if kept is not None:
            self._strips.move_to_end(number)
            return kept
        text = self._text(number)
        strip = self._line_strip(text, width, base)
        if number < self.source.whole_lines:
            self._strips[number] = strip
            if len(self._strips) > _KEPT_STRIPS:
                self._strips.popitem(last=False)
        else:
            self._last_painted = text
        return strip

    def _line_strip(self, text: str, width: int, base: Style) -> Strip:
        text = text[self.shift :]
        at = -1
        if self.pattern:
            at = (text if self.pattern != self.pattern.lower() else text.lower()).find(self.pattern)
        if at < 0:
            return Strip([Segment(set_cell_size(text, width), base)], width)
        match = base + self.get_component_rich_style("log-view--match", partial=True)
        end = at + len(self.pattern)
        segments = [Segment(text[:at], base), Segment(text[at:end], match), Segment(text[end:], base)]
        return Strip(segments).adjust_cell_length(width, base)
