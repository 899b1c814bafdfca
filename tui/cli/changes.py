"""How what two runs don't have in common is printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tui.cli.table import Cell, Column, render
from tui.cli.terminal import paint, safe

_INDENT = "  "


def print_changes(
    changes: Sequence[dict[str, Any]], *, titles: tuple[str, str] = ("then", "now"), most: int | None = None
) -> None:
    """A table of changes, each as `{"key": ..., "first": ..., "second": ...}`.

    Args:
        changes: what differs.
        titles: what stands over the two values.
        most: leave out what is beyond so many, and say how much that is.
    """
    shown = changes if most is None else changes[:most]
    table = [Column("what", flexible=True, head=16), *(Column(title, flexible=True, head=20) for title in titles)]
    rows = [
        [Cell(safe(str(change["key"]))), Cell(safe(word(change["first"]))), Cell(safe(word(change["second"])))]
        for change in shown
    ]
    print(render(table, rows, indent=_INDENT))
    if len(shown) < len(changes):
        print(f"{_INDENT}{paint(f'and {len(changes) - len(shown)} more (--json has all)', 'dim')}")


def word(value: Any) -> str:
    """A value as a person would write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
