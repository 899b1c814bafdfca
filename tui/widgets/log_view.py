"""A view over lines of any number: a log that grows, a config, events. Reads only the lines on the screen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from engine.late import np
from tui.widgets.lines import Lines, MarkedLines, Numbers, TextLines, find_all

__all__ = ["Lines", "LogView", "TextLines"]

_KEPT_STRIPS = 2000
Place = tuple[int, int]
"""A row: the line, and which of its wrapped rows."""

_NONE: Numbers = ()  # type: ignore[assignment]  # an array would need numpy before the first paint


class LogView(Widget, can_focus=True):
    """Lines with a search and, for logs, a tail that is followed until somebody scrolls up.

    It keeps its own place: a scroll view lays out the whole screen whenever the number of lines changes.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log-view--match", "log-view--muted", "log-view--bad", "log-view--warn", "log-view--good", "log-view--mark",
        "log-view--head", "log-view--current",
    }  # fmt: skip
    DEFAULT_CSS: ClassVar[str] = """
    LogView { height: 1fr; width: 1fr; }
    LogView > .log-view--match { background: $warning; color: $background; }
    LogView > .log-view--current { background: $primary; color: $text; text-style: bold underline; }
    LogView > .log-view--muted { color: $text-muted; }
    LogView > .log-view--bad { color: $text-error; }
    LogView > .log-view--warn { color: $text-warning; }
    LogView > .log-view--good { color: $text-success; }
    LogView > .log-view--mark { text-style: bold; }
    LogView > .log-view--head { text-style: bold underline; }
    """

    class FollowChanged(Message):
        """The view began or ceased to follow the end."""

        def __init__(self, following: bool) -> None:
            super().__init__()
            self.following = following

    def __init__(
        self,
        *,
        follow: bool = False,
        empty_text: str = "",
        kind_of: Callable[[str], str] | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.source: Lines = TextLines(())
        self.following = follow
        self.empty_text = empty_text
        self.kind_of = kind_of
        """How a line looks by its text, for sources that don't say so themselves."""
        self.pattern = ""
        self.matches = _NONE
        """The lines that hold the pattern, as far as somebody has looked for them."""
        self.wrap = False
        self.top = 0
        """The line in the first row."""
        self.shift = 0
        """Columns scrolled to the right."""
        self._sub = 0
        """Which wrapped row of the first line is the first on the screen."""
        self._match: int | None = None
        self._strips: OrderedDict[Place, Strip] = OrderedDict()
        self._layout: list[Place] | None = None
        self._seen: tuple[int, int] = (0, 0)
        self._last_painted: str | None = None

    # What is shown

    def set_empty_text(self, text: str) -> None:
        """Say something else where there are no lines."""
        if text != self.empty_text:
            self.empty_text = text
            self.refresh()

    def show(self, source: Lines) -> None:
        """Show lines, or those of the same source that are new."""
        changed = source is not self.source or source.generation != self._seen[0]
        if changed:
            if source is not self.source:
                self.shift = self.top = self._sub = 0
                self.matches = _NONE
                self._match = None
            self.source = source
            self._forget()
        first_new = self._seen[1]
        self._seen = (source.generation, source.whole_lines)
        self._layout = None
        self._set_place(self._bottom if self.following else min(self._place, self._bottom))
        if not changed:
            self._refresh_from(first_new)

    def _refresh_from(self, number: int) -> None:
        """Repaint from a line on: what was whole before hasn't changed."""
        if self.wrap:
            if self.source.line_count and (not self._rows() or self._rows()[-1][0] >= number):
                self.refresh()
            return
        top = self.top
        for line in range(max(0, number - top), min(self.size.height, self.source.line_count - top)):
            at = top + line
            if (at, 0) in self._strips and at < self.source.whole_lines:
                continue
            if at == self.source.whole_lines and self._last_painted == self._text(at):
                continue  # the unfinished last line looks the same
            self.refresh(Region(0, line, self.size.width, 1))

    def _forget(self) -> None:
        self._strips.clear()
        self._layout = None
        self.refresh()

    def _text(self, number: int) -> str:
        found = self.source.lines(number, number + 1)
        return found[0] if found else ""

    def set_wrap(self, wrap: bool) -> None:
        """Break long lines, or cut them at the edge."""
        if wrap != self.wrap:
            self.wrap, self.shift, self._sub = wrap, 0, 0
            self._forget()
            self._set_place(self._bottom if self.following else min(self._place, self._bottom))

    def shown_lines(self) -> list[str]:
        """The lines on the screen, whole."""
        rows = self._rows()
        return self.source.lines(rows[0][0], rows[-1][0] + 1) if rows else []

    # Places

    @property
    def _place(self) -> Place:
        return self.top, self._sub

    def _pieces(self, text: str) -> list[str]:
        """A line as its wrapped rows."""
        width = max(1, self.size.width)
        if len(text) <= width and (text.isascii() or cell_len(text) <= width):
            return [text]
        if text.isascii():
            return [text[at : at + width] for at in range(0, len(text), width)]
        return chop_cells(text, width)

    def _height_of(self, number: int) -> int:
        return len(self._pieces(self._text(number))) if self.wrap else 1

    @property
    def _bottom(self) -> Place:
        """Where the view stands when its last row is the last line's."""
        count, height = self.source.line_count, self.size.height
        if not self.wrap:
            return max(0, count - height), 0
        return self._back((count, 0), height)

    def _back(self, place: Place, rows: int) -> Place:
        """So many rows up."""
        line, sub = place
        while rows > sub:
            rows -= sub
            if line == 0:
                return 0, 0
            line -= 1
            sub = self._height_of(line)
        return line, sub - rows

    def _forth(self, place: Place, rows: int) -> Place:
        """So many rows down."""
        line, sub = place
        while line < self.source.line_count:
            left = self._height_of(line) - sub
            if rows < left:
                return line, sub + rows
            rows, line, sub = rows - left, line + 1, 0
        return line, 0

    def _set_place(self, place: Place) -> None:
        place = min(max(place, (0, 0)), self._bottom)
        if place != self._place:
            self.top, self._sub = place
            self._layout = None
            self.refresh()

    def _rows(self) -> list[Place]:
        """What each row of the screen shows."""
        if self._layout is None:
            height, rows = self.size.height, []
            if self.wrap:
                for at, text in enumerate(self.source.lines(self.top, self.top + height)):
                    first = self._sub if at == 0 else 0
                    rows += [(self.top + at, sub) for sub in range(first, len(self._pieces(text)))]
            else:
                rows = [(line, 0) for line in range(self.top, min(self.top + height, self.source.line_count))]
            self._layout = rows[:height]
        return self._layout

    # Moving

    def set_following(self, following: bool) -> None:
        """Follow the end, or stay."""
        if following != self.following:
            self.following = following
            self.post_message(self.FollowChanged(following))
        if following:
            self._set_place(self._bottom)

    def move_by(self, rows: int) -> None:
        """Scroll; scrolling up ends following."""
        if rows < 0 and self._bottom > (0, 0):
            self.set_following(False)
        if not self.wrap:
            self._set_place((self.top + rows, 0))
        elif rows < 0:
            self._set_place(self._back(self._place, -rows))
        else:
            self._set_place(self._forth(self._place, rows))

    def move_page(self, halves: int) -> None:
        """Scroll by half pages."""
        self.move_by(halves * max(1, self.size.height // 2))

    def move_to_start(self) -> None:
        """To the first line."""
        if self._bottom > (0, 0):
            self.set_following(False)
        self._set_place((0, 0))

    def move_to_end(self) -> None:
        """To the last line."""
        self._set_place(self._bottom)

    def move_sideways(self, columns: int) -> None:
        """See what is further right on long lines."""
        if not self.wrap:
            self.shift = max(0, self.shift + columns)
            self._forget()

    def go_to(self, number: int) -> None:
        """Bring a line into view, a third of the way down where it isn't yet."""
        self.set_following(False)
        if not any(line == number for line, _ in self._rows()):
            self._set_place(self._back((number, 0), self.size.height // 3))

    # Searching

    def search(self, pattern: str, *, backwards: bool = False, again: bool = False) -> bool:
        """Go to the next line that holds a text, from the top of the view on, round the end; whether there is one."""
        if not again or pattern != self.pattern:
            self.set_matches(pattern, find_all(self.source, pattern))
            return self.turn_match(backwards=backwards, from_view=True)
        return self.turn_match(backwards=backwards)

    def set_matches(self, pattern: str, matches: Numbers) -> None:
        """Mark a text, which stands in these lines."""
        if pattern != self.pattern:
            self._match = None
        if pattern != self.pattern or not np.array_equal(matches, self.matches):
            self.pattern, self.matches = pattern, matches
            self._forget()

    def turn_match(self, *, backwards: bool = False, from_view: bool = False) -> bool:
        """To the next match, or the one before, round the end; whether there is one.

        Args:
            backwards: the one before.
            from_view: from the first row of the screen on, which itself may be one; else from the match last shown.
        """
        if not len(self.matches):
            return False
        if from_view or self._match is None:
            at = int(np.searchsorted(self.matches, self.top)) - backwards
        elif backwards:
            at = int(np.searchsorted(self.matches, self._match)) - 1
        else:
            at = int(np.searchsorted(self.matches, self._match, "right"))
        old, self._match = self._match, int(self.matches[at % len(self.matches)])
        if old != self._match:
            self._forget()
        self.go_to(self._match)
        return True

    @property
    def match_place(self) -> int:
        """Which of the matches is the one last shown, from 1 on; 0 for none."""
        return int(np.searchsorted(self.matches, self._match)) + 1 if self._match is not None else 0

    # Events

    def on_resize(self) -> None:
        self._forget()
        self._set_place(self._bottom if self.following else self._place)

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

    # Drawing

    def render_line(self, y: int) -> Strip:
        """One row."""
        rows, width, base = self._rows(), self.size.width, self.rich_style
        if y >= len(rows):
            text = self.empty_text if y == 0 and not self.source.line_count else ""
            muted = base + self.get_component_rich_style("log-view--muted", partial=True)
            return Strip([Segment(set_cell_size(text, width), muted)])
        place = number, sub = rows[y]
        kept = self._strips.get(place)
        if kept is not None:
            self._strips.move_to_end(place)
            return kept
        text = self._text(number)
        strip = self._strip(number, sub, text, width, base)
        if number < self.source.whole_lines:
            self._strips[place] = strip
            if len(self._strips) > _KEPT_STRIPS:
                self._strips.popitem(last=False)
        else:
            self._last_painted = text
        return strip

    def _strip(self, number: int, sub: int, text: str, width: int, base: Style) -> Strip:
        style = self._style(number, text, base)
        if self.wrap:
            pieces = self._pieces(text)[: sub + 1]
            first = sum(map(len, pieces[:-1]))
            shown = pieces[-1]
        else:
            first, shown = self.shift, text[self.shift :]
        spans = _spans(text, self.pattern, first, first + len(shown)) if self.pattern else []
        if not spans:
            return self._edged(Strip([Segment(set_cell_size(shown, width), style)], width), shown, width, base)
        name = "log-view--current" if number == self._match else "log-view--match"
        match = base + self.get_component_rich_style(name, partial=True)
        segments, at = [], first
        for begin, end in spans:
            segments += [Segment(text[at:begin], style), Segment(text[begin:end], match)]
            at = end
        segments.append(Segment(text[at : first + len(shown)], style))
        return self._edged(Strip(segments).adjust_cell_length(width, style), shown, width, base)

    def _edged(self, strip: Strip, shown: str, width: int, base: Style) -> Strip:
        """A sign in the last column where the line goes on to the right."""
        if self.wrap or width < 2 or len(shown) <= width // 2 or cell_len(shown) <= width:
            return strip
        sign = ">" if getattr(self.app, "ascii_only", False) else "›"
        muted = base + self.get_component_rich_style("log-view--muted", partial=True)
        return Strip([*strip.crop(0, width - 1), Segment(sign, muted)], width)

    def _style(self, number: int, text: str, base: Style) -> Style:
        kind = self.source.kind(number) if isinstance(self.source, MarkedLines) else ""
        if not kind and self.kind_of is not None:
            kind = self.kind_of(text)
        return base + self.get_component_rich_style(f"log-view--{kind}", partial=True) if kind else base


def _spans(text: str, pattern: str, first: int, last: int) -> Sequence[tuple[int, int]]:
    """Where a text holds a pattern, cut to a window."""
    searched = text if pattern != pattern.lower() else text.lower()
    found: list[tuple[int, int]] = []
    at = searched.find(pattern)
    while at >= 0 and len(found) < 200:
        end = at + len(pattern)
        if end > first and at < last:
            found.append((max(at, first), min(end, last)))
        at = searched.find(pattern, end)
    return found
