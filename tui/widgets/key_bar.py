"""The last line of a screen: its most useful keys, as many as fit. Made of the table of actions."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tui.actions import LAUNCH, Action, actions_of, footer, key_name


class KeyBar(Widget):
    """Keys and labels in one line."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-bar--key"}
    DEFAULT_CSS: ClassVar[str] = """
    KeyBar { height: 1; width: 1fr; color: $text-muted; }
    KeyBar > .key-bar--key { color: $text-accent; text-style: bold; }
    """

    def __init__(self, where: str, *, read_only: bool = False) -> None:
        super().__init__()
        self.where = where
        self.read_only = read_only
        self.tab = ""
        """The open tab, on a screen that has any."""

    def show_tab(self, tab: str) -> None:
        """Another tab is open, on which other keys mean something."""
        self.tab = tab
        self.refresh()

    def shown(self, width: int) -> list[tuple[str, str]]:
        """The keys and labels that fit."""
        known = {action.id for action in actions_of(self.where)}
        fitting: list[tuple[str, str]] = []
        room = width
        for action in footer(self.where, self.tab):
            if action.id not in known or (self.read_only and action.changes):
                continue
            pair = (key_name(self._key(action)), action.short or action.label)
            room -= len(pair[0]) + len(pair[1]) + 3
            if room < -2:
                break
            fitting.append(pair)
        return fitting

    def _key(self, action: Action) -> str:
        """The key to show: where people type, only one that isn't a character works."""
        if self.where != LAUNCH:
            return action.keys[0]
        return next((key for key in action.keys if key.startswith("ctrl+") or key == "escape"), action.keys[0])

    def render_line(self, y: int) -> Strip:
        """The one line."""
        base = self.rich_style
        key_style = base + self.get_component_rich_style("key-bar--key", partial=True)
        segments: list[Segment] = []
        for key, label in self.shown(self.size.width):
            segments += [Segment(key, key_style), Segment(f" {label}  ", base)]
        return Strip(segments).adjust_cell_length(self.size.width, base)
