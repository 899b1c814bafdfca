"""Home: the table of runs, and beside it the selected run's state, chart and log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.geometry import Size
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from engine.store.last_figures import LastFigures, last_figures
from tui import format
from tui.actions import RUNS, bindings
from tui.overview import overview_lines
from tui.screens.opening import open_launch, open_run
from tui.screens.runs_order import RunsOrderScreen
from tui.screens.selected_chart import SelectedChartActs
from tui.view_state import ViewState
from tui.widgets.chart import Chart
from tui.widgets.filter_bar import FilterBar
from tui.widgets.key_bar import KeyBar
from tui.widgets.log_view import LogView, TextLines
from tui.widgets.run_table import RunTable

if TYPE_CHECKING:
    from engine.store.buckets import Buckets
    from engine.store.summary import RunSummary
    from tui.messages import NewestRead, RunView
    from tui.run_groups import Group

_NO_LINES = TextLines(())
_RESTED_SECONDS = 0.08
"""A held key passes over many runs: only of the one where it rests is anything said."""
WIDE, MEDIUM, STACKED_HEIGHT, TALL = 130, 100, 20, 34


class RunsScreen(RunsOrderScreen, SelectedChartActs):
    """The runs of the store."""

    CSS_PATH = "runs.tcss"
    WHERE = RUNS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(RUNS)]

    info: Static

    def __init__(self) -> None:
        super().__init__()
        self._figures: tuple[str, LastFigures | None] = ("", None)
        self._rest: Timer | None = None
        self._unread = 0
        """How many runs are being read, while only the newest are shown."""

    def compose(self) -> ComposeResult:
        app = self.heats
        self.table = RunTable(id="table", ascii_only=app.ascii_only)
        self.bar = FilterBar(app.state.filter, self.filter_changed, self.filter_done)
        self.info = Static(id="info", markup=False)
        self._arrange(app.size)  # before the panes are there: later each change would style them all anew
        yield Static(id="title", markup=False)
        with Container(id="body"):
            yield self.table
            with Vertical(id="beside"):
                yield self.info
                yield Chart(id="chart", ascii_only=app.ascii_only)
                yield LogView(id="log", follow=app.state.follow, empty_text="nothing printed yet")
        yield self.bar
        yield KeyBar(RUNS, read_only=app.read_only)

    def on_mount(self) -> None:
        app, table = self.heats, self.table
        table.set_sort(app.state.sort, app.state.reverse)
        table.empty_text = ("reading the store",)
        table.focus()
        self.query_one(Chart).set_look(self.look)
        app.tracker.listed.subscribe(self, self._on_listed)
        app.tracker.newest.subscribe(self, self._on_newest)
        app.tracker.sparked.subscribe(self, self._on_sparks)
        app.tracker.viewed.subscribe(self, self._on_viewed)
        self._show_title()

    def _arrange(self, size: Size) -> None:
        """Where the panes go in a window of this size."""
        width, height = size
        self.set_class(width >= WIDE, "wide")
        self.set_class(MEDIUM <= width < WIDE and height >= STACKED_HEIGHT, "medium")
        self.set_class(width < MEDIUM and height >= STACKED_HEIGHT, "stacked")
        self.set_class(width < WIDE and height < STACKED_HEIGHT, "single")
        self.set_class(height >= TALL, "tall")

    def on_resize(self) -> None:
        self._arrange(self.size)
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        if self.is_attached:
            self._show_title()
            self._show_info()

    def on_screen_resume(self) -> None:
        """Back from another screen: take in what came meanwhile."""
        if self.heats.tracker.runs is not None:
            self.rearrange()
            self._on_viewed(self.heats.tracker.view)
            self.query_one(Chart).set_look(self.look)
            self._watch_selected()

    def tick(self) -> None:
        """Ages go on, and so do the figures of a live run."""
        super().tick()
        if self.is_current:
            self._show_info()  # an age of it may be another by now
            self._read_figures()

    # What the tracker says

    def _on_listed(self, runs: tuple[RunSummary, ...]) -> None:
        if self.is_current:
            self.rearrange()

    def _on_newest(self, message: NewestRead) -> None:
        """The newest rows, while the others are read: only where these are what stands there in the end."""
        state = self.heats.state
        plain = (state.sort, state.reverse) == (ViewState.sort, ViewState.reverse) and not (state.filter or state.group)
        known = state.selected is None or any(run.id == state.selected for run in message.runs)
        if plain and known and not state.pinned and self.is_current:
            self._unread = message.everything
            self.rearrange(runs=message.runs)

    def _on_sparks(self, sparks: Mapping[str, Buckets]) -> None:
        self.table.set_sparks(sparks)

    def _on_viewed(self, view: RunView | None) -> None:
        if not self.is_current:
            return
        run = self.selected_run()
        self.show_view(view, run)
        fits = view is not None and run is not None and view.run_id == run.id
        log = self.query_one(LogView)
        log.show(view.log if fits and view is not None and view.log is not None else _NO_LINES)
        log.set_empty_text("nothing printed yet" if fits else "reading the log" if run is not None else "")
        self._show_info()

    # The table

    def selected_run(self) -> RunSummary | None:
        return self.table.selected

    def panes(self) -> list[Widget]:
        both = [self.table, self.query_one(LogView)]
        return [pane for pane in both if pane.is_on_screen or pane.region.area]

    def rearranged(self) -> None:
        self._show_title()
        self._show_info()

    @on(RunTable.Selected)
    def _selected(self, message: RunTable.Selected) -> None:
        message.stop()
        if self.selected_run() is not None:
            self.heats.change_state(selected=message.key)
        self._watch_selected()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(_RESTED_SECONDS, self._rested)

    def _rested(self) -> None:
        self._rest = None
        self._show_info()
        self._read_figures()

    def _watch_selected(self) -> None:
        run = self.selected_run()
        self.heats.tracker.watch(run.id if run else None, self.heats.state.metric)

    @on(RunTable.Scrolled)
    def _scrolled(self, message: RunTable.Scrolled) -> None:
        message.stop()
        self.heats.tracker.look_near(self.table.visible_ids())

    @on(RunTable.Opened)
    def action_open_run(self) -> None:
        """The run's own screen; of a group, its runs."""
        group, run = self.table.selected_group, self.selected_run()
        if group is not None:
            self.toggle_group(group)
        elif run is not None:
            open_run(self.heats, run.id)

    def action_launch_form(self) -> None:
        """The form for a new run."""
        if not self.heats.refuses():
            open_launch(self.heats)

    # Lines of text

    def _show_title(self) -> None:
        app, state = self.heats, self.heats.state
        runs = app.tracker.runs or ()
        parts = [f"heats  {_short_path(str(app.store_root), self.size.width // 3, '~' if app.ascii_only else '…')}"]
        if app.tracker.runs is None and self._unread:
            parts.append(f"reading {self._unread:,} runs")
        elif app.tracker.runs is not None:
            parts.append(f"{sum(run.status.is_live for run in runs)} running of {len(runs)}")
        if state.marked:
            unseen = len(state.marked) - len(self._shown_ids().intersection(state.marked))
            parts.append(f"{len(state.marked)} marked" + (f", {unseen} out of sight" if unseen else ""))
        if state.filter:
            parts.append(f"filter {state.filter!r} shows {len(self._shown_ids())}")
        if state.group:
            parts.append(f"by {state.group}")
        archived = sum(run.archived for run in runs)
        if archived:
            parts.append(f"{archived} archived" + ("" if state.show_archived else ", hidden"))
        if app.read_only:
            parts.append("read-only")
        update_text(
            self.query_one("#title", Static), "  ·  ".join(parts) if not app.ascii_only else "  |  ".join(parts)
        )

    def _show_info(self) -> None:
        run, group = self.selected_run(), self.table.selected_group
        lines: list[str] = []
        if group is not None:
            lines = group_lines(group)
        elif run is not None:
            known, figures = self._figures
            shown = figures if known == run.id else None
            lines = overview_lines(run, shown, time.time(), self._info_width(), ascii_only=self.heats.ascii_only)
        update_text(self.info, "\n".join(lines))

    def _info_width(self) -> int:
        return self.info.size.width or self.size.width

    def _read_figures(self) -> None:
        """GPU and CPU of the selected run, where anything of it runs."""
        run = self.selected_run()
        if run is None or not run.status.is_live or not self.info.region.area:
            return
        paths = self.heats.acts.run_paths(run.id)

        def take(figures: LastFigures | None) -> None:
            self._figures = (paths.id, figures)
            self._show_info()

        self.ask("figures", "reads host figures", lambda: last_figures(paths), take, anew=self._figures[0] != run.id)


def group_lines(group: Group) -> list[str]:
    """A group in a few lines."""
    words = [f"{len(group.run_ids)} runs", f"{group.live} live", f"{group.failed} failed, killed or lost"]
    figures = [f"lowest loss {format.number(group.loss)}"] if group.loss is not None else []
    figures += [f"best {format.number(group.best)}"] if group.best is not None else []
    said = ["Enter opens it" if group.folded else "Enter folds it", "Space marks all its runs"]
    return [group.title, ", ".join(words), "  ".join(figures), "; ".join(said)]


def _short_path(path: str, width: int, mark: str) -> str:
    """The end of a path, which is what tells stores apart."""
    return path if len(path) <= max(12, width) else mark + path[-max(11, width - 1) :]


def update_text(widget: Static, text: str, *, layout: bool = False) -> None:
    """Change a text only where it differs: each update is drawn and sent, and a layout moves everything else."""
    if getattr(widget, "shown_text", None) != text:
        widget.shown_text = text  # type: ignore[attr-defined]
        widget.update(text, layout=layout)
