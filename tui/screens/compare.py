"""Runs side by side: the options that differ, their metrics, where they part, their code and environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from engine.store.paths import open_store
from engine.store.summary import RunSummary
from tui.actions import bindings
from tui.actions.action import COMPARE
from tui.compare_table import Table, detail_lines, name_of, read_table, short_name, stored_lines, table_rows
from tui.comparing import Compared, letters
from tui.copying import Copyable, fixed
from tui.screens.opening import open_chart, open_launch, open_run
from tui.screens.pane import PaneScreen
from tui.screens.runs import update_text
from tui.widgets.grid import GridColumn, GridView
from tui.widgets.key_bar import KeyBar
from tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    from engine.store.diff import RunDiff

_LOW = 20
_VALUE, _NARROW = 18, 12
_FEW = 4
_LOOK_TICKS = 5
_MOST_RUNS = 60


class CompareScreen(PaneScreen):
    """Two or more runs; one alone is compared with the run that it was made from.

    Args:
        run_ids: which, the one that the others are compared with first.
    """

    CSS_PATH = "compare.tcss"
    WHERE = COMPARE
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(COMPARE)]

    def __init__(self, run_ids: Sequence[str]) -> None:
        super().__init__()
        self.run_ids = list(dict.fromkeys(run_ids))[:_MOST_RUNS]
        self.left_out = len(dict.fromkeys(run_ids)) - len(self.run_ids)
        self.table: Table | None = None
        self.everything = False
        self.diffs: dict[tuple[str, str], RunDiff | str] = {}
        """By the ids of two runs, how they differ, or why that can't be said."""
        self._reading_diff = False
        self._seen: tuple[RunSummary | None, ...] = ()
        self._ticks = 0

    def compose(self) -> ComposeResult:
        app = self.heats
        yield Static("Compare", id="title", markup=False)
        yield GridView(ascii_only=app.ascii_only, most=_VALUE, keep_end=True, id="table")
        yield Static(id="cell", markup=False)
        yield TextPane(id="details")
        yield KeyBar(COMPARE, read_only=app.read_only)

    def on_mount(self) -> None:
        self.query_one(GridView).focus()
        update_text(
            self.query_one("#cell", Static), f"reading {len(self.run_ids)} runs" if self.run_ids[1:] else "reading"
        )
        self._read()

    def on_resize(self) -> None:
        self.set_class(self.size.height < _LOW, "low")
        self.call_after_refresh(self._show)

    # Reading

    def _read(self) -> None:
        root, run_ids = self.heats.store_root, tuple(self.run_ids)
        self._seen = self._summaries()
        self.ask("runs", "compares runs", lambda: read_table(root, run_ids), self._took, anew=False)

    def _summaries(self) -> tuple[RunSummary | None, ...]:
        by_id = {run.id: run for run in self.heats.tracker.runs or ()}
        return tuple(by_id.get(run_id) for run_id in self.run_ids)

    def _took(self, table: Table) -> None:
        found = [item.summary.id for item in table.compared]
        wanted = [run_id for run_id in self.run_ids if run_id in found] or found
        if set(found) - set(self.run_ids):
            wanted = found  # its parent has joined it
        by_id = {item.summary.id: item for item in table.compared}
        self.run_ids = wanted or self.run_ids
        self.table = Table(tuple(by_id[run_id] for run_id in wanted), table.problems, table.alone)
        self._show()
        self._next_diff()

    def tick(self) -> None:
        """Runs that train go on."""
        self._ticks += 1
        if self._ticks % _LOOK_TICKS == 0 and self.table is not None and self._seen != self._summaries():
            self._read()

    def _next_diff(self) -> None:
        """Compare the first run with each other one, that under the cursor first."""
        if self._reading_diff or self.table is None or len(self.table.compared) < 2:
            return
        base, *others = (item.summary.id for item in self.table.compared)
        here = self._run_here()
        order = sorted(others, key=lambda run_id: here is None or run_id != here.summary.id)
        other = next((run_id for run_id in order if (base, run_id) not in self.diffs), None)
        if other is None:
            return
        self._reading_diff = True
        root, pair = self.heats.store_root, (base, other)

        def read() -> tuple[tuple[str, str], RunDiff | str]:
            from engine.store.diff import compare_runs

            try:
                store = open_store(root)
                return pair, compare_runs(store.run(pair[0]), store.run(pair[1]), ask_git=True)
            except Exception as error:  # noqa: BLE001  one damaged pair must not hide the others
                return pair, f"{type(error).__name__}: {error}"

        self.ask("diff", "compares two runs", read, self._took_diff)

    def _took_diff(self, answer: tuple[tuple[str, str], RunDiff | str]) -> None:
        self._reading_diff = False
        self.diffs[answer[0]] = answer[1]
        self._show()
        self._next_diff()

    # Showing

    def panes(self) -> list[Widget]:
        both: list[Widget] = [self.query_one(GridView), self.query_one(TextPane)]
        return [pane for pane in both if pane.display]

    def _turn_pane(self, direction: int) -> None:
        """Where there is room for one pane only, Tab turns from one to the other."""
        if self.has_class("low"):
            self.toggle_class("second")
            self._lay_out()
        super()._turn_pane(direction)

    def _lay_out(self) -> None:
        low, second = self.has_class("low"), self.has_class("second")
        alone = self.table is not None and len(self.table.compared) < 2
        self.query_one(GridView).display = not alone and not (low and second)
        self.query_one(TextPane).display = alone or not low or second
        self.query_one("#cell").display = not alone
        if self.focused is None or not self.focused.display:
            for pane in self.panes()[:1]:
                pane.focus()

    def _show(self) -> None:
        table = self.table
        if not self.is_mounted or table is None:
            return
        compared = table.compared
        separator = "  |  " if self.heats.ascii_only else "  ·  "
        both = ", ".join(f"{letters(at)} {name_of(item)}" for at, item in enumerate(compared[:2]))
        parts = [f"Compare {len(compared)} runs" if len(compared) > 1 else "Compare"]
        parts += [both] if len(compared) == 2 else []
        parts += [f"{self.left_out} left out: {_MOST_RUNS} is the most"] if self.left_out else []
        update_text(self.query_one("#title", Static), separator.join(parts))
        if len(compared) >= 2:
            rows = table_rows(compared, self._diffs(), everything=self.everything, ascii_only=self.heats.ascii_only)
            grid = self.query_one(GridView)
            least = _VALUE if len(compared) <= _FEW else _NARROW
            names = [f"{letters(at)} {name_of(item)}" for at, item in enumerate(compared)]
            room = (self.size.width - 30) // len(compared) - 2
            grid.most = max(least, min(room, max(map(len, names))))
            columns = [
                GridColumn(item.summary.id, short_name(name, max(grid.most, _VALUE)))
                for item, name in zip(compared, names, strict=True)
            ]
            grid.show(rows, columns)
        self._lay_out()
        self._show_cell()
        self._show_details()

    def _diffs(self) -> Mapping[str, RunDiff | str]:
        """By run, how it differs from the first."""
        base = self.table.compared[0].summary.id if self.table is not None and self.table.compared else ""
        return {other: found for (first, other), found in self.diffs.items() if first == base}

    def _run_here(self) -> Compared | None:
        """The run under the cursor."""
        chosen = self.query_one(GridView).selected
        if chosen is None or self.table is None:
            return None
        return next((item for item in self.table.compared if item.summary.id == chosen[1]), None)

    def _show_cell(self) -> None:
        """The whole of what the cell under the cursor says, which the table may have cut."""
        grid, here = self.query_one(GridView), self._run_here()
        chosen = grid.selected
        if chosen is None or here is None:
            update_text(self.query_one("#cell", Static), "")
            return
        at = [column.key for column in grid.columns].index(chosen[1])
        row = grid.rows[grid.row]
        cell = row.cells[at] if at < len(row.cells) else ""
        text = cell.plain if isinstance(cell, Text) else cell
        whole = f"{letters(at)} {name_of(here)}  {row.title.strip()}: {text.strip()}"
        update_text(self.query_one("#cell", Static), whole)

    def _show_details(self) -> None:
        pane, table = self.query_one(TextPane), self.table
        if table is None:
            return
        problems: list[Text | str] = [Text(text, "yellow") for text in table.problems]
        problems += stored_lines(table.compared)
        if len(table.compared) < 2:
            pane.show([*problems, table.alone or "There is nothing to compare with."])
            return
        here, base = self._run_here(), table.compared[0]
        other = here if here is not None and here is not base else table.compared[1]
        found = self._diffs().get(other.summary.id)
        at = letters(table.compared.index(other))
        before = pane.source[:1]
        lines = detail_lines(found, ("A", at), (name_of(base), name_of(other)))
        pane.show([*lines[:1], *problems, *lines[1:]], keep_place=before == tuple(lines[:1]))

    @on(GridView.Chosen)
    def _chosen(self, message: GridView.Chosen) -> None:
        message.stop()
        self._show_cell()
        self._show_details()

    def copyables(self) -> Sequence[Copyable]:
        """What there is to copy, or to write to a file."""
        ids = " ".join(self.run_ids)
        return (
            fixed("t", "the table, apart by tabs", self.query_one(GridView).as_text(), "compare.tsv"),
            fixed("f", "how they differ", self.query_one(TextPane).text, "compare.txt"),
            fixed("c", "the command", f"heats compare {ids}", "compare.sh"),
        )

    def readable(self) -> tuple[Copyable, int]:
        """What a pager shows: how the two differ."""
        return fixed("f", "how they differ", self.query_one(TextPane).text, "compare.txt"), 1

    # Acts

    @on(GridView.Opened)
    def action_open_run(self) -> None:
        """The run under the cursor."""
        here = self._run_here()
        if here is not None:
            open_run(self.heats, here.summary.id)

    def action_all_keys(self) -> None:
        """All options, or those that differ."""
        self.everything = not self.everything
        self._show()

    def action_make_base(self) -> None:
        """Compare with the run under the cursor."""
        here = self._run_here()
        if here is None or self.table is None:
            return
        rest = [item for item in self.table.compared if item is not here]
        self.run_ids = [here.summary.id, *(item.summary.id for item in rest)]
        self.table = Table((here, *rest), self.table.problems)
        self._show()
        self._next_diff()

    def action_leave_out(self) -> None:
        """Go on without the run under the cursor."""
        here = self._run_here()
        if here is None or self.table is None:
            return
        if len(self.table.compared) <= 2:
            self.heats.tell("two runs are the least that can be compared")
            return
        rest = tuple(item for item in self.table.compared if item is not here)
        self.run_ids = [item.summary.id for item in rest]
        self.table = Table(rest, self.table.problems)
        self._show()
        self._next_diff()

    def action_overlay(self) -> None:
        """The curves of all of them; of the metric under the cursor, if one is."""
        chosen = self.query_one(GridView).selected
        kind, _, name = (chosen[0] if chosen else "").partition(" ")
        open_chart(self.heats, self.run_ids, name if kind in ("last", "best", "parts") else None)

    def action_clone_run(self) -> None:
        """A form with the options of the run under the cursor."""
        here = self._run_here()
        if here is not None and not self.heats.refuses():
            open_launch(self.heats, clone_of=here.summary.id)
