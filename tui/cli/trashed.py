"""How `restore` and `purge` show the trash."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from engine.store.trash import Trashed
from tui import format as form
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import safe


def trash_table(items: Sequence[Trashed], title: str = "in the trash") -> str:
    """One line a run, and their sum."""
    now = time.time()
    columns = [Column(title, flexible=True, head=8), Column("deleted", right=True), Column("size", right=True)]
    rows = [[Cell(safe(item.entry)), Cell(form.ago(item.deleted, now)), Cell(form.size(item.bytes))] for item in items]
    total = f"{len(rows)} {'run' if len(rows) == 1 else 'runs'}, {form.size(sum(item.bytes for item in items))}"
    return f"{render(columns, rows)}\n{total}"


def trash_json(items: Sequence[Trashed]) -> list[dict[str, Any]]:
    """The stable public form."""
    return [
        {
            "id": item.id,
            "entry": item.entry,
            "name": item.name,
            "deleted": item.deleted,
            "bytes": item.bytes,
            "files": item.files,
        }
        for item in items
    ]
