"""What widgets that draw themselves row by row have in common: only the rows that changed are sent."""

from __future__ import annotations

from abc import abstractmethod

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class DrawnRows(Widget):
    """A widget that makes its rows in `row_strip`; call `redraw` after each change of what it shows."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._strips: list[Strip] = []
        self._drawn_for: tuple[int, int] = (0, 0)

    @abstractmethod
    def row_strip(self, y: int) -> Strip:
        """One row, as it should be now."""

    def redraw(self) -> None:
        """Compute all rows and repaint those that changed."""
        width, height = self.size
        if not width or not height:
            return
        fresh = [self.row_strip(y) for y in range(height)]
        if self._drawn_for != (width, height) or len(fresh) != len(self._strips):
            self._strips, self._drawn_for = fresh, (width, height)
            self.refresh()
            return
        changed = [row for row, (old, new) in enumerate(zip(self._strips, fresh, strict=True)) if old != new]
        self._strips = fresh
        if changed:
            self.refresh(*(Region(0, row, width, 1) for row in changed))

    def render_line(self, y: int) -> Strip:
        """One row, made before where the size is as it was."""
        width, height = self.size
        if self._drawn_for != (width, height):
            self._strips, self._drawn_for = [self.row_strip(row) for row in range(height)], (width, height)
        return self._strips[y] if y < len(self._strips) else Strip.blank(width, self.rich_style)

    def notify_style_update(self) -> None:
        """The theme changed: colours are part of the rows."""
        super().notify_style_update()
        self._drawn_for = (0, 0)
