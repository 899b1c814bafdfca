"""A short list to choose from, narrowed by typing: ways to group, saved filters, columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

_MOST = 200
"""A run may have hundreds of metrics; typing narrows them."""


@dataclass(frozen=True)
class Item:
    """One entry: what the choice returns, its text, and what else there is to say of it."""

    id: str
    text: str
    help: str = ""

    def fits(self, words: Sequence[str]) -> bool:
        """Whether all the words are in it."""
        hay = f"{self.text} {self.help}".lower()
        return all(word in hay for word in words)


class PickScreen(ModalScreen[str | None]):
    """Type to narrow, arrows to move, Enter to take. Escape is no choice.

    Args:
        title: what is chosen.
        items: in the order to show them.
        hint: the keys there are.
        free: take what was typed, where nothing fits it.
        picked: the id under the cursor at first.
    """

    CSS_PATH = "pick.tcss"

    def __init__(
        self,
        title: str,
        items: Sequence[Item],
        *,
        hint: str = "type to narrow, Enter takes it, Esc leaves all as it is",
        free: bool = False,
        picked: str | None = None,
    ) -> None:
        super().__init__()
        self.title_text = title
        self.items = tuple(items)
        self.hint = hint
        self.free = free
        self.picked = picked
        self._shown: list[Item] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="pick"):
            yield Static(self.title_text, id="pick-title", markup=False)
            yield Input(id="pick-field", placeholder="type to narrow", compact=True)
            yield OptionList(id="pick-list", markup=False)
            yield Static(self.hint, id="pick-hint", markup=False)

    def on_mount(self) -> None:
        field = self.query_one(Input)
        field.cursor_blink = not getattr(self.app, "low_bandwidth", False)
        field.focus()
        self.query_one(OptionList).can_focus = False
        self.show_items(self.picked)

    def on_resize(self) -> None:
        self.query_one(OptionList).styles.max_height = max(1, self.size.height - 6)

    def show_items(self, highlight: str | None = None) -> None:
        """Show what fits the words typed."""
        text = self.query_one(Input).value.strip()
        words = text.lower().split()
        self._shown = [item for item in self.items if item.fits(words)][:_MOST]
        if self.free and text and all(item.id != text for item in self._shown):
            self._shown.append(Item(text, text, "as typed"))
        table = self.query_one(OptionList)
        table.clear_options()
        widest = max((len(item.text) for item in self._shown if item.help), default=0)
        table.add_options(
            Option(f"{item.text.ljust(min(widest, 40))}  {item.help}" if item.help else item.text)
            for item in self._shown
        )
        ids = [item.id for item in self._shown]
        if ids:
            table.highlighted = ids.index(highlight) if highlight in ids else 0

    @property
    def highlighted(self) -> Item | None:
        """The entry under the cursor."""
        at = self.query_one(OptionList).highlighted
        return self._shown[at] if at is not None and at < len(self._shown) else None

    def take(self, item: Item) -> None:
        """An entry was chosen."""
        self.dismiss(item.id)

    def on_key(self, event: events.Key) -> None:
        table = self.query_one(OptionList)
        moves: dict[str, Callable[[], None]] = {
            "down": table.action_cursor_down, "up": table.action_cursor_up, "tab": table.action_cursor_down,
            "pagedown": table.action_page_down, "pageup": table.action_page_up,
            "ctrl+d": table.action_page_down, "ctrl+u": table.action_page_up,
        }  # fmt: skip
        if event.key in moves:
            event.stop()
            event.prevent_default()
            moves[event.key]()
        elif event.key == "escape":
            event.stop()
            self.dismiss(None)

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        self.show_items()

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        if self.highlighted is not None:
            self.take(self.highlighted)

    @on(OptionList.OptionSelected)
    def _clicked(self, message: OptionList.OptionSelected) -> None:
        message.stop()
        if message.option_index < len(self._shown):
            self.take(self._shown[message.option_index])
