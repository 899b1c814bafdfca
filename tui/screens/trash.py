"""What was deleted: bring it back, or delete it for good."""

from __future__ import annotations

import time
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from engine.store.paths import open_store
from engine.store.trash import Trashed, list_trash
from tui import format, run_acts
from tui.actions import bindings
from tui.actions.action import TRASH
from tui.cli.terminal import safe
from tui.run_acts import many
from tui.screens.pane import PaneScreen
from tui.screens.runs import update_text
from tui.widgets.key_bar import KeyBar
from tui.widgets.small_table import Row, SmallTable

_MOST = 400


class TrashScreen(PaneScreen):
    """The runs in the store's trash, deleted last first."""

    CSS = """
    TrashScreen #trash-title { height: 1; text-style: bold; background: $panel; }
    TrashScreen SmallTable { height: 1fr; }
    """
    WHERE = TRASH
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(TRASH)]

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[str, Trashed] = {}
        self.marked: set[str] = set()

    def compose(self) -> ComposeResult:
        yield Static("Trash", id="trash-title", markup=False)
        yield SmallTable(("", "run", "deleted", "size", "files"), id="trash")
        yield KeyBar(TRASH, read_only=self.heats.read_only)

    def on_mount(self) -> None:
        self.query_one(SmallTable).focus()
        self._read()

    def panes(self) -> list[Widget]:
        return [self.query_one(SmallTable)]

    def _read(self) -> None:
        if self.is_attached:
            root = self.heats.store_root
            self.ask("trash", "reads the trash", lambda: list_trash(open_store(root)), self._take)

    def _take(self, found: list[Trashed]) -> None:
        self.items = {item.entry: item for item in reversed(found)}
        self.marked &= self.items.keys()
        self._show()

    def _show(self) -> None:
        now, sign = time.time(), "x" if self.heats.ascii_only else "◆"
        rows = [
            Row(entry, (
                sign if entry in self.marked else " ", safe(entry), f"{format.ago(item.deleted, now)} ago",
                format.size(item.bytes).rjust(10), format.count(item.files).rjust(7),
            ))
            for entry, item in list(self.items.items())[:_MOST]
        ]  # fmt: skip
        self.query_one(SmallTable).show(rows)
        size = format.size(sum(item.bytes for item in self.items.values()))
        more = f", the last {_MOST} are shown" if len(self.items) > _MOST else ""
        text = f"{many(len(self.items))}, {size}{more}" if self.items else "nothing is in it"
        update_text(
            self.query_one("#trash-title", Static),
            ("  |  " if self.heats.ascii_only else "  ·  ").join(
                ["Trash", text, *([f"{len(self.marked)} marked"] if self.marked else [])]
            ),
        )

    def _targets(self) -> list[Trashed]:
        chosen = self.query_one(SmallTable).selected
        names = self.marked or ({chosen} if chosen else set())
        return [item for entry, item in self.items.items() if entry in names]

    def action_mark(self) -> None:
        """Mark or unmark, and go on."""
        table = self.query_one(SmallTable)
        if table.selected is not None:
            self.marked ^= {table.selected}
            table.move_by(1)
            self._show()

    @on(SmallTable.Opened)
    def action_restore(self) -> None:
        """Bring runs back."""
        items = self._targets()
        if items and not self.heats.refuses():
            root, entries = self.heats.store_root, [item.entry for item in items]
            self.heats.acts.do("restores runs", lambda: run_acts.bring_back(root, entries), self._read)

    def action_purge(self) -> None:
        """Ask, then delete for good."""
        items = self._targets()
        if not items or self.heats.refuses():
            return
        root = self.heats.store_root

        def decided(answer: str | None) -> None:
            if answer is not None:
                self.heats.acts.do("deletes runs for good", lambda: run_acts.purge_items(root, items), self._read)

        self.heats.push_screen(run_acts.purge_question(items), decided)
