"""The field of the filter, with what is wrong with it below. While a filter is in force the field is in view."""

from __future__ import annotations

from collections.abc import Callable

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from engine.store.filter import Filter, FilterError, parse

HINT = 'filter: words, status:running tag:paper has:star loss<0.5 lr>=1e-3 age<2h, OR, NOT, ( ), "quotes"'


class FilterBar(Vertical):
    """Text in, a filter that makes sense out.

    Args:
        text: what stands in it at first.
        changed: called with the text at each change, once `chosen` is the filter in force.
        done: called when the typing is over.
    """

    DEFAULT_CSS = """
    FilterBar { height: auto; }
    FilterBar #filter { height: 1; border: none; }
    FilterBar #filter-error { height: 1; color: $text-error; display: none; }
    """

    def __init__(self, text: str, changed: Callable[[str], None], done: Callable[[], None]) -> None:
        super().__init__()
        self.text = text
        self.chosen: Filter = parse("")
        """The filter in force: the last that made sense."""
        self._changed = changed
        self._done = done

    def compose(self) -> ComposeResult:
        yield Input(self.text, id="filter", placeholder=HINT, compact=True, select_on_focus=False)
        yield Static(id="filter-error", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = not getattr(self.app, "low_bandwidth", False)
        self._understand(self.text)
        self._show_field(bool(self.text))

    def open(self) -> None:
        """Begin to type."""
        self._show_field(True)
        self.query_one(Input).focus()

    def set_text(self, text: str) -> None:
        """Another filter."""
        self._take(text)
        self.query_one(Input).value = text
        self._show_field(bool(text))

    def _show_field(self, there: bool) -> None:
        self.query_one(Input).display = there

    @on(Input.Changed, "#filter")
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        if message.value != self.text:
            self._take(message.value)

    @on(Input.Submitted, "#filter")
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self._show_field(bool(self.text))
        self._done()

    def _take(self, text: str) -> None:
        self.text = text
        self._understand(text)
        self._changed(text)

    def _understand(self, text: str) -> None:
        """Take a filter over; while it makes no sense the last one that did stays."""
        try:
            self.chosen = parse(text)
        except FilterError as error:
            self.show_mistake(error)
            return
        self.show_mistake(None)

    def show_mistake(self, error: FilterError | None) -> None:
        """Under the field, pointing at the character where there is room."""
        line = self.query_one("#filter-error", Static)
        line.display = error is not None
        if error is None:
            return
        said = f"{error.message}; {error.remedy}" if error.remedy else error.message
        indent = cell_len(error.start)
        room = self.size.width - indent - 2
        line.update(f"{' ' * indent}^ {said}" if cell_len(said) <= room else f"column {error.position + 1}: {said}")
