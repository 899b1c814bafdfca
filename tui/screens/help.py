"""The help sheet: every key of the screen it was opened on, made of the table of actions."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import help_groups
from tui.widgets.log_view import LogView, TextLines

_KEYS_WIDTH = 14
_LABEL_WIDTH = 22


def sheet(where: str, width: int) -> list[str]:
    """The sheet's lines for a width."""
    lines: list[str] = []
    for group, actions in help_groups(where).items():
        lines += ["", group] if lines else [group]
        for action in actions:
            head = f"  {action.shown_keys:<{_KEYS_WIDTH}}{action.label:<{_LABEL_WIDTH}}"
            text = action.help if action.help.rstrip(".") != action.label else ""
            if len(head) + 20 > width:
                lines.append(f"  {action.shown_keys:<{_KEYS_WIDTH}}{action.label}")
                continue
            lines += _wrap(head, text, width)
    return lines


def _wrap(head: str, text: str, width: int) -> list[str]:
    """Text beside its head, going on below itself."""
    room = width - len(head)
    parts: list[str] = []
    for word in text.split():
        if parts and len(parts[-1]) + 1 + len(word) <= room:
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    parts = parts or [""]
    return [f"{head}{parts[0]}".rstrip(), *(" " * len(head) + part for part in parts[1:])]


class HelpScreen(ModalScreen[None]):
    """All keys of one screen; any of the usual keys closes it."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss_help", "Close"),
        Binding("j,down", "scroll(1)", "Down"),
        Binding("k,up", "scroll(-1)", "Up"),
        Binding("ctrl+d,pagedown,space", "page(1)", "Page down"),
        Binding("ctrl+u,pageup", "page(-1)", "Page up"),
    ]

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def compose(self) -> ComposeResult:
        yield Static("Keys  (Esc closes)", id="help-title")
        yield LogView(id="help-sheet")

    def on_resize(self) -> None:
        view = self.query_one(LogView)
        view.show(TextLines(sheet(self.where, max(20, self.size.width - 6))))

    def action_dismiss_help(self) -> None:
        """Close the sheet."""
        self.dismiss(None)

    def action_scroll(self, rows: int) -> None:
        """Scroll by rows."""
        self.query_one(LogView).move_by(rows)

    def action_page(self, halves: int) -> None:
        """Scroll by half pages."""
        self.query_one(LogView).move_page(halves)
