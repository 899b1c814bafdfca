"""The legend below one large chart: each line with its full name and what it says at the crosshair or its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.changes import changed_regions

_COLUMNS = (("value", 10), ("smoothed", 10), ("step", 12), ("logged", 20))
_TITLES = tuple(title for title, _ in _COLUMNS)


@dataclass(frozen=True)
class Entry:
    """One line of the legend; `cells` are value, smoothed value, step and moment."""

    key: str
    mark: str
    label: str
    cells: tuple[str, str, str, str]
    style: Style
    hidden: bool = False


class Legend(Widget):
    """Rows of entries with a cursor, the first row a heading."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"legend--head", "legend--chosen"}
    DEFAULT_CSS: ClassVar[str] = """
    Legend { height: auto; width: 1fr; }
    Legend > .legend--head { color: $text-muted; }
    Legend > .legend--chosen { text-style: bold; }
    """

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self.entries: tuple[Entry, ...] = ()
        self.cursor = 0
        self._strips: list[Strip] = []

    def show(self, entries: Sequence[Entry], cursor: int) -> None:
        """Show these entries with one chosen."""
        self.entries = tuple(entries)
        self.cursor = min(max(cursor, 0), max(0, len(entries) - 1))
        self.redraw()

    def redraw(self) -> None:
        """Compute the rows and draw those that changed."""
        fresh = self._build()
        known, self._strips = self._strips, fresh
        if len(known) != len(fresh):
            self.refresh()
        elif changed := changed_regions(known, fresh):
            self.refresh(*changed)

    def on_resize(self) -> None:
        self.redraw()

    def _build(self) -> list[Strip]:
        width, height = self.size
        if width < 1 or height < 1:
            return []
        base = self.rich_style
        kept = [index for index, (_, size) in enumerate(_COLUMNS) if self._wanted(index)]
        room = width - 4
        while kept and room - sum(_COLUMNS[index][1] + 1 for index in kept) < 14:
            kept.pop()
        name_width = min(
            room - sum(_COLUMNS[index][1] + 1 for index in kept),
            max([8, *(cell_len(entry.label) for entry in self.entries)]),
        )
        head = " " * (4 + name_width) + "".join(f" {_TITLES[index]:>{_COLUMNS[index][1]}}" for index in kept)
        rows = [Strip([Segment(head, base + self._style("legend--head"))]).adjust_cell_length(width, base)]
        first = min(max(0, self.cursor - (height - 2)), max(0, len(self.entries) - (height - 1)))
        for index, entry in enumerate(self.entries[first : first + height - 1], first):
            chosen = index == self.cursor
            pointer = (">" if self.ascii_only else "▸") if chosen else " "
            style = base + entry.style + (self._style("legend--chosen") if chosen else Style(dim=entry.hidden))
            cells = "".join(f" {entry.cells[at]:>{_COLUMNS[at][1]}}" for at in kept)
            text = f"{pointer} {entry.mark} {set_cell_size(entry.label, max(0, name_width))}{cells}"
            rows.append(Strip([Segment(text, style)]).adjust_cell_length(width, base))
        return rows

    def _wanted(self, index: int) -> bool:
        return any(entry.cells[index] for entry in self.entries)

    def _style(self, name: str) -> Style:
        style = self.get_component_rich_style(name, partial=True)
        return Style(color=style.color, bold=style.bold, dim=style.dim)

    def render_line(self, y: int) -> Strip:
        """One row."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)
