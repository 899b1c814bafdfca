"""The acts on charts, for every screen that holds a `ChartGrid`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import on
from textual.css.query import NoMatches

from tui.chart_export import write
from tui.run_curves import ChartsView, unique_labels
from tui.screens.pane import PaneScreen
from tui.widgets.chart_grid import ChartGrid


class ChartActs(PaneScreen):
    """A screen with a grid of charts: yield a `ChartGrid` and call `read_charts` at each tick; the keys do the rest."""

    def grid(self) -> ChartGrid | None:
        """The grid, while it is on the screen."""
        try:
            found = self.query_one(ChartGrid)
        except NoMatches:
            return None
        return found if found.is_on_screen or found.region.area else None

    def _grid_or_say(self) -> ChartGrid | None:
        """The grid that a key is about; says where it is while it can't be seen."""
        grid = self.grid()
        if grid is None:
            self.heats.tell("that key means something on the charts: 1 shows them")
        return grid

    def read_charts(self, run_ids: Sequence[str], *, anew: bool = False) -> None:
        """Read the curves of runs in a thread, and show them where something changed. Does nothing while hidden."""
        grid, tracker = self.grid(), self.heats.tracker
        if grid is None:
            return
        known = [(run_id, tracker.find(run_id)) for run_id in run_ids]
        labels = unique_labels([(run_id, run.name if run is not None else run_id) for run_id, run in known])
        runs = [
            (tracker.run_paths(run_id), label, run.arm if run is not None else None)
            for (run_id, run), label in zip(known, labels, strict=True)
        ]
        axis, shown = grid.axis, grid.view

        def take(view: ChartsView | None) -> None:
            if view is not None and view.axis == grid.axis:
                grid.show(view)

        if not grid.view.runs:
            grid.show(grid.view, message="reading..." if self.heats.ascii_only else "reading…")
        self._charts_of = tuple(run_ids)
        self.ask("charts", "reads the curves", lambda: tracker.reader.charts(runs, axis, shown), take, anew=anew)

    @on(ChartGrid.AxisWanted)
    def _axis_wanted(self) -> None:
        self.read_charts(self._charts_of, anew=True)

    _charts_of: tuple[str, ...] = ()

    @on(ChartGrid.Opened)
    def _chart_opened(self, message: ChartGrid.Opened) -> None:
        message.stop()
        self.open_in_full(message.grid, message.group)

    def open_in_full(self, grid: ChartGrid, group: str) -> None:
        """Show a chart of the grid in full: on a screen of its own."""
        from tui.screens.chart import ChartScreen

        self.app.push_screen(ChartScreen(self._charts_of, group))

    def action_open_chart(self) -> None:
        """The chosen chart in full."""
        if grid := self._grid_or_say():
            grid.open()

    def action_next_metric(self) -> None:
        """The next chart."""
        if grid := self._grid_or_say():
            grid.next_chart(1)

    def action_previous_metric(self) -> None:
        """The chart before."""
        if grid := self._grid_or_say():
            grid.next_chart(-1)

    def action_log_y(self) -> None:
        """Logarithmic y axis, on or off."""
        if grid := self._grid_or_say():
            grid.set_look(log_y=not grid.look.log_y)

    def action_log_x(self) -> None:
        """Logarithmic x axis, on or off."""
        if grid := self._grid_or_say():
            grid.set_look(log_x=not grid.look.log_x)

    def action_x_axis(self) -> None:
        """Along steps, epochs, time trained or the clock."""
        if grid := self._grid_or_say():
            grid.next_axis()

    def action_smooth(self, direction: int) -> None:
        """Smooth more or less."""
        if grid := self._grid_or_say():
            grid.smooth(direction)

    def action_trim(self) -> None:
        """Trim outliers, or not."""
        if grid := self._grid_or_say():
            grid.set_look(clip=not grid.look.clip)

    def action_bands(self) -> None:
        """Runs of one arm as one line with a band."""
        if grid := self._grid_or_say():
            grid.toggle_bands()

    def action_limits(self) -> None:
        """Type limits of y."""
        if grid := self._grid_or_say():
            grid.ask_limits()

    def action_zoom(self, direction: int) -> None:
        """Closer or farther."""
        if grid := self._grid_or_say():
            grid.zoom(direction)

    def action_pan(self, direction: int) -> None:
        """Along the x axis."""
        if grid := self._grid_or_say():
            grid.pan(direction / 4)

    def action_reset_zoom(self) -> None:
        """All of the curves again."""
        if grid := self._grid_or_say():
            grid.reset()

    def action_crosshair(self, columns: int) -> None:
        """The crosshair to the left or right."""
        if grid := self._grid_or_say():
            grid.move_cursor(columns)

    def action_tail(self) -> None:
        """Follow the newest points while zoomed, or stay."""
        if grid := self._grid_or_say():
            grid.toggle_tail()

    def action_pin_chart(self) -> None:
        """The chosen chart to the front."""
        if grid := self._grid_or_say():
            grid.pin()

    def action_hide_chart(self) -> None:
        """Take the chosen chart out."""
        if grid := self._grid_or_say():
            grid.hide()

    def action_show_charts(self) -> None:
        """All charts and lines again."""
        if grid := self._grid_or_say():
            grid.show_hidden()

    def action_move_chart(self, direction: int) -> None:
        """The chosen chart forward or back."""
        if grid := self._grid_or_say():
            grid.move_chart(direction)

    def action_toggle_line(self) -> None:
        """Hide the chosen line, or show it."""
        if grid := self._grid_or_say():
            grid.toggle_line()

    def action_resize_grid(self, columns: int, rows: int) -> None:
        """More or fewer charts on a page."""
        if grid := self._grid_or_say():
            grid.resize_grid(columns, rows)

    def action_filter_charts(self) -> None:
        """Type which charts to show."""
        if grid := self._grid_or_say():
            grid.ask_filter()

    def write_shown(self) -> None:
        """Write the chosen chart to files in a thread, and tell where they are."""
        grid = self.grid()
        shown = grid.shown() if grid is not None else None
        if shown is None:
            self.heats.tell("there is no chart with points to write", failed=True)
            return

        def wrote(paths: tuple[Path, Path]) -> None:
            picture, points = paths
            self.heats.tell(f"wrote {picture}\nand the points, {points.name}")

        self.ask("chart files", "writes the chart", lambda: write(shown), wrote)
