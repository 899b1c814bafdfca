"""Charts over the whole screen: of one run or of several over each other, all metrics or one in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from tui.actions import bindings
from tui.actions.action import CHART
from tui.run_curves import unique_labels
from tui.screens.chart_acts import ChartActs
from tui.screens.runs import update_text
from tui.widgets.chart_grid import ChartGrid
from tui.widgets.key_bar import KeyBar


class ChartScreen(ChartActs):
    """The curves of runs, all in one chart a group.

    Args:
        run_ids: which runs, the first ones drawn first.
        group: the chart to see in full (`loss`); a grid of all charts if None.
    """

    CSS_PATH = "chart.tcss"
    WHERE = CHART
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(CHART)]

    def __init__(self, run_ids: Sequence[str], group: str | None = None) -> None:
        super().__init__()
        self.run_ids = tuple(run_ids)
        self.group = group

    def compose(self) -> ComposeResult:
        app = self.heats
        yield Static(id="title", markup=False)
        yield ChartGrid(id="charts", ascii_only=app.ascii_only, full=self.group is not None)
        yield KeyBar(CHART, read_only=app.read_only)

    def on_mount(self) -> None:
        grid = self.query_one(ChartGrid)
        grid.chosen = self.group
        grid.focus()
        self._show_title()
        self.call_after_refresh(self.read_charts, self.run_ids)

    def tick(self) -> None:
        """Take in what the runs have logged since."""
        if not self.query("#title"):
            return  # the clock may strike while it is being made, or gone already
        self._show_title()
        self.read_charts(self.run_ids)

    def on_screen_resume(self) -> None:
        self.call_after_refresh(self.tick)

    def panes(self) -> list[Widget]:
        return [self.query_one(ChartGrid)]

    def _show_title(self) -> None:
        tracker = self.heats.tracker
        runs = [(run_id, tracker.find(run_id)) for run_id in self.run_ids]
        labels = unique_labels([(run_id, run.name if run is not None else run_id) for run_id, run in runs])
        live = sum(run is not None and run.status.is_live for _, run in runs)
        gone = sum(run is None for _, run in runs) if tracker.runs is not None else 0
        parts = [", ".join(labels)]
        parts += [f"{live} running"] if live else []
        parts += [f"{gone} no longer in the store"] if gone else []
        update_text(self.query_one("#title", Static), ("  |  " if self.heats.ascii_only else "  ·  ").join(parts))

    def open_in_full(self, grid: ChartGrid, group: str) -> None:
        grid.set_full(True)

    def action_back(self) -> None:
        """One step back: out of the field, the crosshair, the filter, the full chart; then out of the screen."""
        grid = self.query_one(ChartGrid)
        if grid.back():
            return
        if grid.full and self.group is None:
            grid.set_full(False)
            return
        self.dismiss()

    def action_open_chart(self) -> None:
        """The chosen chart in full, or all of them."""
        grid = self.query_one(ChartGrid)
        grid.set_full(not grid.full)

    def action_write_text(self) -> None:
        """Write what is shown to files."""
        self.write_shown()
