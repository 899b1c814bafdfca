"""One line to type, asked for in a box: a tag, a folder, a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class PromptScreen(ModalScreen[str | None]):
    """A question that is answered with a line of text. Escape is no answer.

    Args:
        title: what is asked.
        text: what to know before answering.
        value: what stands in the field at first.
        check: says what is wrong with an answer; None where nothing is.
    """

    CSS_PATH = "prompt.tcss"

    def __init__(
        self,
        title: str,
        text: Sequence[str] = (),
        *,
        value: str = "",
        placeholder: str = "",
        check: Callable[[str], str | None] = lambda text: None,
    ) -> None:
        super().__init__()
        self.title_text = title
        self.text = tuple(text)
        self.value = value
        self.placeholder = placeholder
        self.check = check

    def compose(self) -> ComposeResult:
        with Vertical(id="prompt"):
            yield Static(self.title_text, id="prompt-title", markup=False)
            yield Static("\n".join(self.text), id="prompt-text", markup=False)
            yield Input(self.value, placeholder=self.placeholder, compact=True, select_on_focus=False)
            yield Static("Enter takes it, Esc leaves all as it is", id="prompt-said", markup=False)

    def on_mount(self) -> None:
        field = self.query_one(Input)
        field.cursor_blink = not getattr(self.app, "low_bandwidth", False)
        field.focus()
        field.cursor_position = len(self.value)
        self.query_one("#prompt-text").display = bool(self.text)

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            event.stop()
            self.dismiss(None)

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        problem = self.check(message.value)
        if problem is None:
            self.dismiss(message.value)
        else:
            said = self.query_one("#prompt-said", Static)
            said.add_class("wrong")
            said.update(problem)
