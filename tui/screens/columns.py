"""Choosing the columns of the runs table: its own, and any option or metric of the runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from textual import events

from tui.screens.pick import Item, PickScreen
from tui.widgets.run_columns import BY_ID, BY_WIDTH

FIXED = ("status", "name")
_BY_WIDTH = "by width"


class ColumnsScreen(PickScreen):
    """Each entry is turned on or off at once; the table behind shows it.

    Args:
        chosen: the columns that are on, in their order; empty where the width decides.
        known: options and metrics that some run has.
        change: called with the new choice at each change.
        sort: called with the id of a column to sort by.
        ascii_only: no glyphs.
    """

    def __init__(
        self,
        chosen: Sequence[str],
        known: Collection[str],
        change: Callable[[tuple[str, ...]], None],
        sort: Callable[[str], None],
        *,
        ascii_only: bool = False,
    ) -> None:
        hint = "Enter: on or off   Ctrl+o: sort by it   Shift+up, Shift+down: earlier, later   Esc: done"
        super().__init__("Columns: type to find an option or a metric", (), hint=hint, free=True)
        self.chosen = tuple(chosen)
        self.known = sorted(known)
        self._change = change
        self._sort = sort
        self._signs = ("[x]", "[ ]") if ascii_only else ("☑", "☐")

    def on_mount(self) -> None:
        self._list()  # Textual calls the list's own on_mount after this one

    def _list(self) -> None:
        on = [name for name in (self.chosen or BY_WIDTH) if name not in FIXED]
        others = [name for name in BY_ID if name not in on and name not in FIXED]
        others += [name for name in self.known if name not in on and name not in BY_ID]
        reset = Item(_BY_WIDTH, f"{self._signs[bool(self.chosen)]} as the width allows", "")
        self.items = (
            reset,
            *(self._item(name, True) for name in on),
            *(self._item(name, False) for name in others),
        )

    def _item(self, name: str, on: bool) -> Item:
        column = BY_ID.get(name)
        return Item(name, f"{self._signs[not on]} {column.title if column else name}")

    def take(self, item: Item) -> None:
        """On or off."""
        if item.id == _BY_WIDTH:
            self._put((), item.id)
            return
        now = [name for name in (self.chosen or BY_WIDTH) if name not in FIXED]
        after = [name for name in now if name != item.id]
        if item.id not in now:  # beside the other figures, not behind tags and reasons
            after.insert(after.index("age") if "age" in after else len(after), item.id)
        self._put(tuple(after) or FIXED, item.id)

    def on_key(self, event: events.Key) -> None:
        item = self.highlighted
        if event.key in ("shift+up", "shift+down") and item is not None:
            event.stop()
            event.prevent_default()
            self._shift(item.id, -1 if event.key == "shift+up" else 1)
        elif event.key == "ctrl+o" and item is not None and item.id != _BY_WIDTH:
            event.stop()
            event.prevent_default()
            self._sort(item.id)

    def _shift(self, name: str, by: int) -> None:
        now = [other for other in (self.chosen or BY_WIDTH) if other not in FIXED]
        if name not in now:
            return
        at = now.index(name)
        to = min(max(at + by, 0), len(now) - 1)
        now.insert(to, now.pop(at))
        self._put(tuple(now), name)

    def _put(self, chosen: tuple[str, ...], highlight: str) -> None:
        self.chosen = chosen
        self._change(chosen)
        self._list()
        self.show_items(highlight)
