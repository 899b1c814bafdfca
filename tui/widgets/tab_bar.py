"""A line of tabs with their digits. Where it is narrow only the open one has its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget


class TabBar(Widget):
    """Names, one of them open; a click opens another."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"tab-bar--open"}
    DEFAULT_CSS: ClassVar[str] = """
    TabBar { height: 1; width: 1fr; }
    TabBar > .tab-bar--open { text-style: bold reverse; }
    """

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, names: Sequence[str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.names = tuple(names)
        self.open = self.names[0]

    def show(self, name: str) -> None:
        """Mark a tab as open."""
        if name != self.open:
            self.open = name
            self.refresh()

    def labels(self, width: int) -> list[tuple[str, str]]:
        """Each tab with its label, as many words as fit."""
        full = [(name, f" {number} {name.capitalize()} ") for number, name in enumerate(self.names, 1)]
        if sum(len(label) for _, label in full) <= width:
            return full
        return [(name, label if name == self.open else f" {at} ") for at, (name, label) in enumerate(full, 1)]

    def render_line(self, y: int) -> Strip:
        """The line."""
        base = self.rich_style
        chosen = base + self.get_component_rich_style("tab-bar--open", partial=True)
        segments = [
            Segment(label, chosen if name == self.open else base) for name, label in self.labels(self.size.width)
        ]
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def on_click(self, event: events.Click) -> None:
        """Which tab is there."""
        at = 0
        for name, label in self.labels(self.size.width):
            at += len(label)
            if event.x < at:
                self.post_message(self.Chosen(name))
                return
