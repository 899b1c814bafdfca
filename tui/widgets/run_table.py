"""The table of runs, alone or in groups, with a gutter of marks."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.style import Style
from textual.strip import Strip

from tui import format
from tui.messages import NO_FACTS
from tui.run_groups import Entry, Group
from tui.widgets.chart import OKABE_ITO
from tui.widgets.run_columns import (
    GUTTER,
    LIVE,
    NAME,
    STATUS,
    Column,
    choose_columns,
    coarse_age,
    fit_columns,
    fit_text,
)
from tui.widgets.sparkline import sparkline
from tui.widgets.virtual_table import Looks, Segments, VirtualTable

if TYPE_CHECKING:
    from engine.store.buckets import Buckets
    from engine.store.summary import RunSummary

_MARKS = {(True, False): ("◆", "x"), (False, True): ("↑", "^"), (True, True): ("◈", "X")}
"""Marked, pinned, both; each with its ASCII twin."""


class RunTable(VirtualTable):
    """Rows of run summaries and heads of groups, given already filtered and sorted."""

    GUTTER = GUTTER

    def __init__(self, *, ascii_only: bool = False, leap: bool = True, id: str | None = None) -> None:
        super().__init__(ascii_only=ascii_only, leap=leap, id=id)
        self.sort_key = "age"
        self.sort_reverse = True
        self.marked: frozenset[str] = frozenset()
        self.pinned: frozenset[str] = frozenset()
        self._candidates: Sequence[Column] = choose_columns((), lambda: NO_FACTS)
        self._sparks: dict[str, str] = {}
        self._columns: list[tuple[Column, int]] = []
        self._columns_for = -1
        self._now = time.time()

    @property
    def rows(self) -> Sequence[RunSummary]:
        """The runs among the lines."""
        return [line for line in self.lines if not isinstance(line, Group)]

    @property
    def selected(self) -> RunSummary | None:
        """The run under the cursor."""
        line = self.selected_line
        return None if isinstance(line, Group) else line

    @property
    def selected_group(self) -> Group | None:
        """The group whose head is under the cursor."""
        line = self.selected_line
        return line if isinstance(line, Group) else None

    @property
    def columns(self) -> list[tuple[Column, int]]:
        """The columns on the screen, with their widths."""
        width = self.row_width
        if width != self._columns_for:  # a scroll bar that comes or goes changes it too
            self._columns, self._columns_for = fit_columns(width - GUTTER, self._candidates), width
        return self._columns

    def set_rows(self, rows: Sequence[Entry], select: str | None = None) -> None:
        """Show these runs and groups; the selected one stays selected wherever it is now.

        Args:
            rows: in the order to show them.
            select: the id of the run (or key of the group) to select, where it is among them.
        """
        self._now = time.time()
        self.set_lines(rows, select)

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Other columns, as many of them as fit."""
        if [column.id for column in columns] != [column.id for column in self._candidates]:
            self._candidates, self._columns_for = columns, -1
            self.refresh()

    def set_marks(self, marked: Collection[str], pinned: Collection[str]) -> None:
        """Which runs are marked, and which are pinned."""
        self.marked, self.pinned = frozenset(marked), frozenset(pinned)
        self.refresh_changed()

    def set_sparks(self, sparks: Mapping[str, Buckets]) -> None:
        """New curves of live rows."""
        for run_id, buckets in sparks.items():
            self._sparks[run_id] = sparkline(buckets, ascii_only=self.ascii_only)
        self.refresh_changed()

    def set_sort(self, key: str, reverse: bool) -> None:
        """Which column the rows are sorted by, for the header."""
        self.sort_key, self.sort_reverse = key, reverse
        self.refresh_head()

    def visible_ids(self) -> list[str]:
        """The runs on the screen."""
        return [line.id for line in self.visible_lines() if not isinstance(line, Group)]

    def age(self, now: float) -> None:
        """Ages go on even when nothing is written."""
        self._now = now
        self.refresh_changed()

    # One line

    def line_key(self, line: Any) -> str:
        return line.key if isinstance(line, Group) else str(line.id)

    def looks_of(self, line: Any) -> Looks:
        if isinstance(line, Group):
            return (line.key, line.live, line.failed, line.loss, line.best, line.folded, self._group_mark(line))
        cells = tuple(column.cell(line, self._now) for column, _ in self.columns)
        spark = self._sparks.get(line.id) if line.status.is_live else None
        return (line.id, cells, spark, line.star, line.id in self.marked, line.id in self.pinned)

    def column_at(self, x: int) -> str | None:
        at = GUTTER
        for column, size in self.columns:
            if at <= x <= at + size:
                return column.id
            at += size + 1
        return None

    def draw_head(self, width: int, style: Style) -> Strip:
        arrow = ("v" if self.sort_reverse else "^") if self.ascii_only else ("▼" if self.sort_reverse else "▲")
        line = Segments(style)
        line.add(" " * GUTTER)
        for column, size in self.columns:
            title = column.title
            if column.id == self.sort_key:  # the arrow stays, whatever the room
                title = f"{fit_text(title, size - 1, ellipsis='') if len(title) >= size else title}{arrow}"
            line.add(f"{fit_text(title, size, right=column.right)} ")
        return line.strip(width)

    def draw(self, line: Any, style: Style, *, under_cursor: bool, width: int) -> Strip:
        drawn = Segments(style)
        if isinstance(line, Group):
            self._draw_group(line, drawn, under_cursor)
        else:
            self._draw_run(line, drawn, under_cursor)
        return drawn.strip(width)

    def _mark(self, marked: bool, pinned: bool, drawn: Segments, under_cursor: bool) -> None:
        sign = _MARKS.get((marked, pinned), ("", ""))[self.ascii_only]
        if not sign:
            drawn.add(" " * GUTTER)
            return
        style = None if under_cursor else drawn.style + self.get_component_rich_style("table--marked", partial=True)
        drawn.add(sign.ljust(GUTTER), style)

    def _draw_run(self, run: RunSummary, drawn: Segments, under_cursor: bool) -> None:
        self._mark(run.id in self.marked, run.id in self.pinned, drawn, under_cursor)
        for column, size in self.columns:
            colored: Style | None = None
            text = column.cell(run, self._now)
            if column is STATUS:
                text = format.state_label(run.status, ascii_only=self.ascii_only)
                colored = None if under_cursor else drawn.style + Style(color=format.STATE_COLORS[run.status])
            elif column.id == LIVE.id:
                text = self._sparks.get(run.id, "") if run.status.is_live else ""
                colored = drawn.style + Style(color=OKABE_ITO[0]) if text.strip() and not under_cursor else None
            elif column is NAME and run.star:
                text = f"{'*' if self.ascii_only else '★'}{text}"
            cell = fit_text(text, size, right=column.right, keep_end=column is NAME, ellipsis=self.ellipsis)
            if colored is None:
                drawn.add(f"{cell} ")
            else:
                drawn.add(cell, colored)
                drawn.add(" ")

    def _group_mark(self, group: Group) -> bool:
        return bool(self.marked) and self.marked.issuperset(group.run_ids)

    def _draw_group(self, group: Group, drawn: Segments, under_cursor: bool) -> None:
        """The title over status and name, then what the group's runs have in common under the columns it fits."""
        self._mark(self._group_mark(group), False, drawn, under_cursor)
        count = len(group.run_ids)
        words = [f"{count} run{'s' if count != 1 else ''}"]
        words += [f"{group.live} live"] if group.live else []
        words += [f"{group.failed} failed"] if group.failed else []
        cells = {
            "loss": format.number(group.loss), "best": format.number(group.best) if group.best is not None else "",
            "age": coarse_age(group.newest, self._now),
        }  # fmt: skip
        arrow = (">" if group.folded else "v") if self.ascii_only else ("▸" if group.folded else "▾")
        room = 0
        for column, size in self.columns:
            if column.id in cells:
                break
            room += size + 1
        style = None if under_cursor else drawn.style + self.get_component_rich_style("table--group", partial=True)
        said = "  ".join(words)
        title = fit_text(f"{arrow} {group.title}", max(8, room - len(said) - 3), ellipsis=self.ellipsis)
        drawn.add(fit_text(f"{title}  {said}", max(1, room - 1)) + " ", style)
        seen = 0
        for column, size in self.columns:
            if seen >= room:
                drawn.add(f"{fit_text(cells.get(column.id, ''), size, right=column.right)} ", style)
            seen += size + 1
