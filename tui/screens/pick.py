"""One of a list of things, found by typing a part of its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option


class PickScreen(ModalScreen[int | None]):
    """Gives the number of the chosen item. Escape chooses none.

    Args:
        title: what is asked.
        items: the lines to choose from.
    """

    DEFAULT_CSS: ClassVar[str] = """
    PickScreen { align: center middle; background: $background 60%; }
    PickScreen #pick { width: 72; max-width: 100%; height: 80%; border: round $accent; padding: 0 1;
        background: $surface; }
    PickScreen #pick-title { text-style: bold; }
    PickScreen Input { height: 1; border: none; }
    PickScreen OptionList { height: 1fr; border: none; padding: 0; background: $surface; }
    App.ascii-only PickScreen #pick { border: ascii $accent; }
    App.ascii-only PickScreen OptionList { scrollbar-size-vertical: 0; }
    """

    def __init__(self, title: str, items: Sequence[str]) -> None:
        super().__init__()
        self.title_text = title
        self.items = tuple(items)
        self._shown = list(range(len(self.items)))

    def compose(self) -> ComposeResult:
        with Vertical(id="pick"):
            yield Static(self.title_text, id="pick-title", markup=False)
            yield Input(placeholder="type to narrow it down, Enter takes it, Esc leaves", compact=True)
            yield OptionList(*(Option(item) for item in self.items), markup=False)

    def on_mount(self) -> None:
        field = self.query_one(Input)
        field.cursor_blink = False
        field.focus()
        self.query_one(OptionList).can_focus = False
        self.query_one(OptionList).highlighted = 0

    def on_key(self, event: events.Key) -> None:
        answers = self.query_one(OptionList)
        if event.key == "escape":
            event.stop()
            self.dismiss(None)
        elif event.key in ("down", "up", "pagedown", "pageup"):
            event.stop()
            event.prevent_default()
            rows = {"down": 1, "up": -1, "pagedown": 8, "pageup": -8}[event.key]
            if self._shown:
                answers.highlighted = min(max((answers.highlighted or 0) + rows, 0), len(self._shown) - 1)

    @on(Input.Changed)
    def _narrow(self, message: Input.Changed) -> None:
        message.stop()
        words = message.value.lower().split()
        self._shown = [at for at, item in enumerate(self.items) if all(word in item.lower() for word in words)]
        answers = self.query_one(OptionList)
        answers.clear_options()
        answers.add_options([Option(self.items[at]) for at in self._shown])
        answers.highlighted = 0 if self._shown else None

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        at = self.query_one(OptionList).highlighted
        if at is not None:
            self.dismiss(self._shown[at])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._shown[event.option_index])
