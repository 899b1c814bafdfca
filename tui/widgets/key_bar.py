"""The last line of a screen: its most useful keys, as many as fit. Made of the table of actions."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from tui.actions import APP, LAUNCH, Action, actions_of, footer, key_name


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
        return [(key_name(self._key(action)), action.short or action.label) for action in self.fitting(width)]

    def fitting(self, width: int) -> list[Action]:
        """The acts that fit. The palette is always among them: by the mouse it leads to all others."""
        known = {action.id for action in actions_of(self.where)}
        acts = [
            action
            for action in footer(self.where, self.tab)
            if action.id in known and not (self.read_only and action.changes)
        ]
        palette = next((action for action in acts if action.id == "palette"), None)
        room = width + 2 - (self._width(palette) if palette is not None else 0)
        found = []
        for action in acts:
            if action is palette:
                found.append(action)
                continue
            room -= self._width(action)
            if room < 0:
                return found if palette in found or palette is None else [*found, palette]
            found.append(action)
        return found

    def _width(self, action: Action) -> int:
        return len(key_name(self._key(action))) + len(action.short or action.label) + 3

    async def on_click(self, event: events.Click) -> None:
        """A key of the bar does what it does on the keyboard."""
        at = 0
        for action in self.fitting(self.size.width):
            at += self._width(action)
            if event.x < at:
                event.stop()
                await self.screen.run_action(f"{'app' if APP in action.where else 'screen'}.{action.handler}")
                return

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
