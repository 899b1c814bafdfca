"""Home: the table of runs, and beside it the selected run's chart and log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.widget import Widget
from textual.widgets import Input, Static

from engine.store.buckets import Buckets
from engine.store.filter import Filter, FilterError, parse
from engine.store.summary import RunSummary
from tui import format
from tui.actions import RUNS, bindings
from tui.messages import RunView
from tui.screens.base import RunActsScreen
from tui.widgets.chart import Chart
from tui.widgets.key_bar import KeyBar
from tui.widgets.log_view import LogView, TextLines
from tui.widgets.run_columns import BY_ID, SORTABLE, coarse_age, filter_runs, sort_runs
from tui.widgets.run_table import RunTable

_NO_LINES = TextLines(())
FILTER_HINT = 'filter: words, status:running tag:paper has:star loss<0.5 lr>=1e-3 age<2h, OR, NOT, ( ), "quotes"'
WIDE, MEDIUM, STACKED_HEIGHT, TALL = 130, 100, 20, 34


class RunsScreen(RunActsScreen):
    """The runs of the store."""

    CSS_PATH = "runs.tcss"
    WHERE = RUNS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(RUNS)]

    chosen: Filter = parse("")
    """The filter in force: the last that made sense."""

    def compose(self) -> ComposeResult:
        app = self.heats
        yield Static(id="title", markup=False)
        with Container(id="body"):
            yield RunTable(id="table", ascii_only=app.ascii_only)
            with Vertical(id="beside"):
                yield Static(id="info", markup=False)
                yield Chart(id="chart", ascii_only=app.ascii_only)
                yield LogView(id="log", follow=app.state.follow, empty_text="nothing printed yet")
        yield Input(id="filter", placeholder=FILTER_HINT, compact=True)
        yield Static(id="filter-error", markup=False)
        yield KeyBar(RUNS, read_only=app.read_only)

    def on_mount(self) -> None:
        app = self.heats
        self.query_one(Input).cursor_blink = not app.low_bandwidth
        self.query_one(Input).value = app.state.filter
        self._understand(app.state.filter)
        self.query_one("#filter").display = bool(app.state.filter)
        table = self.query_one(RunTable)
        table.set_sort(app.state.sort, app.state.reverse)
        table.empty_text = ("reading the store",)
        table.focus()
        self.query_one(Chart).set_look(self.look)
        app.tracker.listed.subscribe(self, self._on_listed)
        app.tracker.sparked.subscribe(self, self._on_sparks)
        app.tracker.viewed.subscribe(self, self._on_viewed)
        self._show_title()

    def on_resize(self) -> None:
        width, height = self.size
        self.set_class(width >= WIDE, "wide")
        self.set_class(MEDIUM <= width < WIDE and height >= STACKED_HEIGHT, "medium")
        self.set_class(width < MEDIUM and height >= STACKED_HEIGHT, "stacked")
        self.set_class(width < WIDE and height < STACKED_HEIGHT, "single")
        self.set_class(height >= TALL, "tall")
        self.call_after_refresh(self._show_title)

    def on_screen_resume(self) -> None:
        """Back from another screen: take in what came meanwhile."""
        if self.heats.tracker.runs is not None:
            self._arrange()
            self._on_viewed(self.heats.tracker.view)
            self.query_one(Chart).set_look(self.look)
            self._watch_selected()

    def tick(self) -> None:
        """Ages go on even when nothing is written."""
        self.query_one(RunTable).refresh_changed(time.time())

    # What the tracker says

    def _on_listed(self, runs: tuple[RunSummary, ...]) -> None:
        if self.is_current:
            self._arrange()

    def _on_sparks(self, sparks: Mapping[str, Buckets]) -> None:
        self.query_one(RunTable).set_sparks(sparks)

    def _on_viewed(self, view: RunView | None) -> None:
        if not self.is_current:
            return
        run = self.selected_run()
        self.show_view(view, run)
        fits = view is not None and run is not None and view.run_id == run.id
        log = self.query_one(LogView)
        log.show(view.log if fits and view is not None and view.log is not None else _NO_LINES)
        self._show_info()

    # The table

    def selected_run(self) -> RunSummary | None:
        return self.query_one(RunTable).selected

    def panes(self) -> list[Widget]:
        both = [self.query_one(RunTable), self.query_one(LogView)]
        return [pane for pane in both if pane.is_on_screen or pane.region.area]

    def _arrange(self, select: str | None = None) -> None:
        """Filter and sort the runs, and show them."""
        app, table = self.heats, self.query_one(RunTable)
        runs = app.tracker.runs or ()
        try:
            rows = filter_runs(runs, self.chosen, app.tracker.facts)
        except FilterError as error:
            self._show_mistake(error)
            rows = list(table.rows)
        rows = sort_runs(rows, app.state.sort, reverse=app.state.reverse)
        first = not table.rows and table.selected is None
        if not rows:
            table.empty_text = self._empty_text()
        table.set_rows(rows, select or (app.state.selected if first else None))
        self._show_title()
        self._show_info()

    def _empty_text(self) -> tuple[str, ...]:
        app = self.heats
        if app.tracker.problem:
            return ("this store can't be read:", app.tracker.problem)
        if app.tracker.runs:
            return (f"none of {len(app.tracker.runs)} runs fits {app.state.filter!r}", "", "Esc shows all again")
        how = "Press n to launch the first one," if not app.read_only else "Launch one from a shell:"
        other = ("or from a shell:",) if not app.read_only else ()
        return (
            f"No runs yet in {app.store_root}", "", how, *other, "  heats launch multiplication", "",
            "It goes on when you close this app or the connection.",
        )  # fmt: skip

    @on(RunTable.Selected)
    def _selected(self, message: RunTable.Selected) -> None:
        message.stop()
        if message.run_id is not None:
            self.heats.change_state(selected=message.run_id)
        self._watch_selected()
        self._show_info()

    def _watch_selected(self) -> None:
        run = self.selected_run()
        self.heats.tracker.watch(run.id if run else None, self.heats.state.metric)

    @on(RunTable.Scrolled)
    def _scrolled(self, message: RunTable.Scrolled) -> None:
        message.stop()
        self.heats.tracker.look_near(self.query_one(RunTable).visible_ids())

    def select(self, run_id: str) -> None:
        """Go to a run, showing all runs where the filter hides it."""
        run = self.heats.tracker.find(run_id)
        if run is not None and not self._fits(run):
            self.action_clear_filter()
        self._arrange(run_id)

    def _fits(self, run: RunSummary) -> bool:
        try:
            return bool(filter_runs([run], self.chosen, self.heats.tracker.facts))
        except FilterError:
            return False

    def _understand(self, text: str) -> None:
        """Take a filter over; while it makes no sense the last one that did stays."""
        try:
            self.chosen = parse(text)
        except FilterError as error:
            self._show_mistake(error)
            return
        self._show_mistake(None)
        self.heats.tracker.want_facts(options=self.chosen.needs_config, checkpoints=self.chosen.needs_checkpoints)

    def _show_mistake(self, error: FilterError | None) -> None:
        """Under the field, pointing at the character where there is room."""
        line = self.query_one("#filter-error", Static)
        line.display = error is not None
        if error is not None:
            said = f"{error.message}; {error.remedy}" if error.remedy else error.message
            indent = cell_len(error.start)
            room = self.size.width - indent - 2
            update_text(
                line, f"{' ' * indent}^ {said}" if cell_len(said) <= room else f"column {error.position + 1}: {said}"
            )

    # Lines of text

    def _show_title(self) -> None:
        app = self.heats
        runs = app.tracker.runs or ()
        live = sum(run.status.is_live for run in runs)
        mark = "~" if app.ascii_only else "…"
        parts = [f"heats  {_short_path(str(app.store_root), self.size.width // 3, mark)}"]
        if app.tracker.runs is not None:
            parts.append(f"{live} running of {len(runs)}")
        if app.state.filter:
            parts.append(f"filter {app.state.filter!r} shows {len(self.query_one(RunTable).rows)}")
        if app.read_only:
            parts.append("read-only")
        update_text(
            self.query_one("#title", Static), "  ·  ".join(parts) if not app.ascii_only else "  |  ".join(parts)
        )

    def _show_info(self) -> None:
        run = self.selected_run()
        text = "" if run is None else "\n".join(info_lines(run, ascii_only=self.heats.ascii_only))
        update_text(self.query_one("#info", Static), text)

    # Acts

    @on(RunTable.Opened)
    def action_open_run(self) -> None:
        """The run's own screen."""
        from tui.screens.run import RunScreen

        run = self.selected_run()
        if run is not None:
            self.app.push_screen(RunScreen(run.id))

    def action_launch_form(self) -> None:
        """The form for a new run."""
        from tui.screens.launch import LaunchScreen

        if not self.heats.refuses():
            self.app.push_screen(LaunchScreen())

    def action_filter(self) -> None:
        """Type a filter."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, message: Input.Changed) -> None:
        message.stop()
        if message.value != self.heats.state.filter:
            self.heats.change_state(filter=message.value)
            self._understand(message.value)
            self._arrange()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self.query_one("#filter").display = bool(self.heats.state.filter)
        self.query_one(RunTable).focus()

    def action_clear_filter(self) -> None:
        """Show all runs."""
        field = self.query_one("#filter", Input)
        field.value = ""
        field.display = False
        self.query_one(RunTable).focus()
        self.heats.change_state(filter="")
        self._understand("")
        self._arrange()

    def action_sort_next(self) -> None:
        """Sort by the next column that is on the screen."""
        shown = [column.id for column, _ in self.query_one(RunTable).columns if column.id in SORTABLE]
        order = shown or list(SORTABLE)
        at = order.index(self.heats.state.sort) if self.heats.state.sort in order else -1
        key = order[(at + 1) % len(order)]
        self._sort(key, BY_ID[key].biggest_first)

    def action_sort_reverse(self) -> None:
        """The other way round."""
        self._sort(self.heats.state.sort, not self.heats.state.reverse)

    def _sort(self, key: str, reverse: bool) -> None:
        self.heats.change_state(sort=key, reverse=reverse)
        self.query_one(RunTable).set_sort(key, reverse)
        self._arrange()


def info_lines(run: RunSummary, *, ascii_only: bool = False) -> list[str]:
    """A run in a few lines: status with its reason, the id, and what is wrong with it."""
    age = f" {coarse_age(run.since, time.time())}" if run.since is not None else ""
    lines = [f"{format.state_label(run.status, ascii_only=ascii_only)}{age}: {run.reason}", run.id]
    sign = "!" if ascii_only else "▲"
    lines += [f"{sign} {text}" for text in (*run.alerts[-2:], *run.problems[-1:])]
    if run.note:
        lines.append(run.note)
    return lines


def _short_path(path: str, width: int, mark: str) -> str:
    """The end of a path, which is what tells stores apart."""
    return path if len(path) <= max(12, width) else mark + path[-max(11, width - 1) :]


def update_text(widget: Static, text: str, *, layout: bool = False) -> None:
    """Change a text only where it differs: each update is drawn and sent, and a layout moves everything else."""
    if getattr(widget, "shown_text", None) != text:
        widget.shown_text = text  # type: ignore[attr-defined]
        widget.update(text, layout=layout)
