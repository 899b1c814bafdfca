"""A question before something is lost: it names the run and what happens, and waits for a clear key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

_PAGES = {"ctrl+d": 6, "pagedown": 6, "ctrl+u": -6, "pageup": -6}
"""Rows by which a long text is scrolled."""


@dataclass(frozen=True)
class Choice:
    """One answer: its key, what it means, and what the question returns."""

    key: str
    label: str
    result: str | None
    destructive: bool = False


class ConfirmScreen(ModalScreen[str | None]):
    """A title, what happens, and the answers. Escape is always no."""

    CSS_PATH = "confirm.tcss"

    def __init__(self, title: str, text: Sequence[str], choices: Sequence[Choice], *, default: int = 0) -> None:
        super().__init__()
        self.title_text = title
        self.text = tuple(text)
        self.choices = tuple(choices)
        self.default = default

    def compose(self) -> ComposeResult:
        with Vertical(id="question"):
            yield Static(self.title_text, id="question-title", markup=False)
            with VerticalScroll(id="question-body", can_focus=False):
                yield Static("\n".join(self.text), id="question-text", markup=False)
            yield OptionList(*(Option(f"{choice.key}  {choice.label}") for choice in self.choices), markup=False)

    def on_mount(self) -> None:
        answers = self.query_one(OptionList)
        answers.highlighted = self.default
        answers.focus()

    def on_resize(self) -> None:
        """Where it is low the explanation gives way: the run's name and the answers stay."""
        room = self.size.height - 2 - 1 - len(self.choices) - 1
        text = self.query_one("#question-body")
        text.styles.max_height = max(1, room)
        text.styles.margin = (0, 0, 1 if room > 4 else 0, 0)

    def on_key(self, event: events.Key) -> None:
        for choice in self.choices:
            if event.key == choice.key:
                event.stop()
                self.dismiss(choice.result)
                return
        if event.key in ("escape", "q"):
            event.stop()
            self.dismiss(None)
        elif event.key in ("j", "k"):
            event.stop()
            answers = self.query_one(OptionList)
            (answers.action_cursor_down if event.key == "j" else answers.action_cursor_up)()
        elif event.key in _PAGES:
            event.stop()
            self.query_one("#question-body").scroll_relative(y=_PAGES[event.key], animate=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self.choices[event.option_index].result)
