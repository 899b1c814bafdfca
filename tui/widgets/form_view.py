"""A form of a hundred lines that costs what is on the screen: drawn as text, with one field to type into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Input

from tui.form_fields import FormField

_LABEL_CELLS = 26
_Row = FormField | str
_Looks = tuple[object, ...]


class _Typed(Input):
    """The one field. It lies over the line that is typed into."""

    def __init__(self) -> None:
        super().__init__(compact=True, select_on_focus=False)
        self.choose: Callable[[], bool] = lambda: False
        """What Space does; whether it did anything."""
        self.took: Callable[[str], None] = lambda text: None
        """Told of each text at once: by a message it could be taken for another line's, where keys come fast."""

    def watch_value(self, value: str) -> None:
        self.took(value)

    def on_key(self, event: events.Key) -> None:
        if event.key == "space" and self.choose():
            event.stop()
            event.prevent_default()


class _Lines(ScrollView):
    """The lines: a section's title is a text."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"form--section", "form--label", "form--changed", "form--wrong"}
    DEFAULT_CSS: ClassVar[str] = """
    _Lines { width: 1fr; height: 1fr; layer: lines; overflow-x: hidden; scrollbar-size-vertical: 1; }
    _Lines > .form--section { text-style: bold; color: $text-accent; }
    _Lines > .form--label { color: $text-muted; }
    _Lines > .form--changed { text-style: bold; }
    _Lines > .form--wrong { color: $text-error; }
    """

    class Clicked(Message):
        """A line was clicked."""

        def __init__(self, row: _Row) -> None:
            super().__init__()
            self.row = row

    class Scrolled(Message):
        """Other lines came into view."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, _Lines.Scrolled)

    def __init__(self) -> None:
        super().__init__()
        self.can_focus = False
        self.rows: Sequence[_Row] = ()
        self._painted: dict[int, _Looks] = {}

    def set_rows(self, rows: Sequence[_Row]) -> None:
        """Show these lines."""
        self.rows = rows
        self.virtual_size = Size(self.size.width, len(rows))
        self.refresh()

    @property
    def top(self) -> int:
        """The index of the first line on the screen."""
        return int(self.scroll_offset.y)

    @property
    def label_cells(self) -> int:
        """Cells that the names take."""
        return min(_LABEL_CELLS, self.size.width // 2)

    def bring_into_view(self, index: int) -> None:
        """Scroll by half pages where the line is out of sight; its section's title comes along where there is room."""
        page = max(1, self.size.height)
        first = index - 1 if page > 2 and index and isinstance(self.rows[index - 1], str) else index
        if first < self.top:
            target = first - page // 2
        elif index >= self.top + page:
            target = index - page + 1 + page // 2
        else:
            return
        target = min(max(target, 0), max(0, len(self.rows) - page))
        self.scroll_to(y=target, animate=False, immediate=True)

    def refresh_changed(self) -> None:
        """Repaint the lines that would look different now."""
        for y in range(self.size.height):
            if self._looks_at(y) != self._painted.get(y):
                self.refresh(Region(0, y, self.size.width, 1))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.post_message(self.Scrolled())

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.rows))
        self.post_message(self.Scrolled())

    def on_click(self, event: events.Click) -> None:
        index = self.top + event.y
        if index < len(self.rows):
            self.post_message(self.Clicked(self.rows[index]))

    def _looks_at(self, y: int) -> _Looks:
        index = self.top + y
        row = self.rows[index] if index < len(self.rows) else ""
        return (row,) if isinstance(row, str) else (row, row.value, row.placeholder, row.changed, row.wrong)

    def render_line(self, y: int) -> Strip:
        """One line: its name, and what is typed or what stands for nothing typed."""
        width, base = self.scrollable_content_region.width, self.rich_style
        looks = self._painted[y] = self._looks_at(y)
        row = looks[0]
        if not isinstance(row, FormField):
            title = self.get_component_rich_style("form--section", partial=True)
            return Strip([Segment(str(row), base + title)]).adjust_cell_length(width, base)
        muted = base + self.get_component_rich_style("form--label", partial=True)
        bold = base + self.get_component_rich_style("form--changed", partial=True)
        wrong = self.get_component_rich_style("form--wrong", partial=True)
        label = Strip([Segment(f"  {row.label}", bold if row.changed else muted)])
        style = muted if not row.value else bold if row.changed else base
        value = Segment(row.value or row.placeholder, style + wrong if row.wrong else style)
        cells = self.label_cells
        return Strip.join([label.adjust_cell_length(cells, base), Strip([value])]).adjust_cell_length(width, base)


class FormView(Container):
    """Lines of names and values; one of them is typed into."""

    DEFAULT_CSS: ClassVar[str] = """
    FormView { layers: lines typed; height: 1fr; overflow: hidden hidden; }
    FormView > _Typed { layer: typed; height: 1; background: $surface; }
    FormView > _Typed.changed { text-style: bold; }
    FormView > _Typed.wrong { color: $text-error; }
    """

    class Typed(Message):
        """The line that is typed into has another value."""

        def __init__(self, field: FormField) -> None:
            super().__init__()
            self.field = field

    class Moved(Message):
        """Another line is typed into."""

    def __init__(self, fields: Sequence[FormField], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.every = list(fields)
        self.shown: list[FormField] = []
        """Those on the form, in their order: all, or those that a search found."""
        self.current = self.every[0]
        """The line that is typed into."""
        self._lines, self.input = _Lines(), _Typed()
        self.input.choose, self.input.took = self._choose, self._take

    def compose(self) -> ComposeResult:
        yield self._lines
        yield self.input

    def on_mount(self) -> None:
        self.narrow("")

    def narrow(self, text: str) -> bool:
        """Show only the lines that hold a text in small letters, with their sections; whether there are any."""
        self.shown = [field for field in self.every if field.holds(text)]
        rows: list[_Row] = []
        section = ""
        for field in self.shown:
            if field.section != section:
                section = field.section
                rows.append(section)
            rows.append(field)
        self._lines.set_rows(rows)
        self._place()
        return bool(self.shown)

    def go_to(self, field: FormField, *, focus: bool = True) -> None:
        """Type into this line from now on."""
        self.current = field
        self.show_values()
        self.input.cursor_position = len(field.value)
        if field in self._lines.rows:
            self._lines.bring_into_view(self._lines.rows.index(field))
        self._place()
        if focus:
            self.input.focus()
        self.post_message(self.Moved())

    def turn(self, direction: int) -> None:
        """To the next line, or the one before, around the ends."""
        if not self.shown:
            return
        if self.current in self.shown:
            self.go_to(self.shown[(self.shown.index(self.current) + direction) % len(self.shown)])
        else:
            self.go_to(self.shown[0 if direction > 0 else -1])

    def turn_section(self, direction: int) -> None:
        """To the first line of another section."""
        shown = self.shown
        firsts = [at for at, field in enumerate(shown) if at == 0 or shown[at - 1].section != field.section]
        if self.current in shown:
            here = max(at for at, first in enumerate(firsts) if first <= shown.index(self.current))
            self.go_to(shown[firsts[(here + direction) % len(firsts)]])
        elif shown:
            self.go_to(shown[0])

    def show_values(self) -> None:
        """Show what the lines hold by now."""
        field, typed = self.current, self.input
        if typed.value != field.value:
            typed.value = field.value
            typed.cursor_position = len(field.value)
        if typed.placeholder != field.placeholder:
            typed.placeholder = field.placeholder
        typed.set_class(field.changed, "changed")
        typed.set_class(field.wrong, "wrong")
        self._lines.refresh_changed()

    @on(_Lines.Scrolled)
    def _scrolled(self, message: _Lines.Scrolled) -> None:
        message.stop()
        self._place()

    def on_resize(self) -> None:
        if self.current in self._lines.rows:
            self._lines.bring_into_view(self._lines.rows.index(self.current))
        self._place()

    def _place(self) -> None:
        """Lay the field over its line; out of sight where that is."""
        rows, lines = self._lines.rows, self._lines
        y = rows.index(self.current) - lines.top if self.current in rows else -1
        seen = 0 <= y < max(1, lines.size.height)
        self.input.styles.offset = (lines.label_cells, y if seen else -2)
        self.input.styles.width = max(1, lines.scrollable_content_region.width - lines.label_cells)

    @on(_Lines.Clicked)
    def _clicked(self, message: _Lines.Clicked) -> None:
        message.stop()
        if isinstance(message.row, FormField):
            self.go_to(message.row)

    def _take(self, text: str) -> None:
        if text != self.current.value:  # else it was only shown
            self.current.value = text
            self.post_message(self.Typed(self.current))

    def _choose(self) -> bool:
        if not self.current.choices:
            return False
        self.input.value = self.current.next_choice()
        self.input.cursor_position = len(self.input.value)
        return True
