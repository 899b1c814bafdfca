"""The charts of a grid as they stand on the screen: which are on the page, their lines, the bar and the legend."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget
from textual.widgets import Input, Static

from tui.chart_choice import Choice, grid_shape, limits_in, names_in
from tui.chart_export import Shown
from tui.run_curves import ChartsView, lines_of
from tui.widgets.chart import Chart, Line, Look, Window
from tui.widgets.chart_bar import BarFacts, bar_text, legend_entries
from tui.widgets.chart_window import Extent, extent_of
from tui.widgets.legend import Legend
from tui.widgets.scale import AXES, Axis

if TYPE_CHECKING:
    from tui.app import HeatsApp

_LEGEND_FROM = 14
"""Rows of a full chart from which a legend stands below it."""


class ChartCells(Widget):
    """A page of charts in a grid, a bar above and a legend below: what is shown, and how it is dealt out.

    All charts share one x axis, so a window and the crosshair are the same in all. `full` shows the chosen one alone.
    """

    DEFAULT_CSS: ClassVar[str] = """
    ChartCells { height: 1fr; width: 1fr; layout: vertical; }
    ChartCells > #charts-bar { height: 1; color: $text-muted; }
    ChartCells > #charts-cells { height: 1fr; layout: grid; grid-gutter: 0 1; }
    ChartCells > Legend { display: none; }
    ChartCells > Input { height: 1; border: none; display: none; }
    """

    def __init__(self, *, ascii_only: bool = False, full: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self.full = full
        """Whether the chosen chart is seen alone."""
        self.view = ChartsView()
        self.chosen: str | None = None
        """The group of the chart that keys act on."""
        self.choice = Choice()
        self.look = Look()
        self.bands = False
        self.window: Window | None = None
        self.cursor: float | None = None
        self.limits: dict[str, tuple[float | None, float | None]] = {}
        self.hidden_lines: frozenset[str] = frozenset()
        self.message = ""
        self._line = 0
        self._shape = (0, 0)
        self._columns = self._rows = 0
        self._asking = ""
        self._arranged: tuple[ChartsView, Choice, list[str]] = (self.view, self.choice, [])

    @property
    def heats(self) -> HeatsApp:
        """The app, by its own type."""
        return cast("HeatsApp", self.app)

    def compose(self) -> ComposeResult:
        yield Static(id="charts-bar", markup=False)
        yield Container(id="charts-cells")
        yield Legend(ascii_only=self.ascii_only, id="charts-legend")
        yield Input(id="charts-input", compact=True)

    def on_mount(self) -> None:
        state = self.heats.state
        axis: Axis = next((axis for axis in AXES if axis == state.chart_axis), "step")
        self.look = Look(state.log_y, state.smoothing, axis, state.chart_log_x, state.chart_clip)
        self.bands = state.chart_bands
        self._columns, self._rows = state.chart_columns, state.chart_rows
        self.choice = Choice(
            names_in(state.chart_pinned), frozenset(names_in(state.chart_hidden)), names_in(state.chart_order),
            state.chart_filter,
        )  # fmt: skip
        self.limits = limits_in(state.chart_limits)
        if self.chosen is None:
            self.chosen = state.metric
        self.query_one(Input).cursor_blink = not self.heats.low_bandwidth

    # What is shown

    def show(self, view: ChartsView, *, message: str = "nothing logged yet") -> None:
        """Show the curves of some runs; `message` stands there when they have none."""
        self.view, self.message = view, message
        self._arrange()

    @property
    def axis(self) -> Axis:
        """The x axis that is wanted."""
        return self.look.axis

    @property
    def groups(self) -> list[str]:
        """The charts to go through, in their order."""
        view, choice, groups = self._arranged
        if view is not self.view or choice is not self.choice:
            groups = self.choice.arrange(self.view.groups, self.view.metrics)
            self._arranged = self.view, self.choice, groups
        return groups

    @property
    def charts(self) -> list[Chart]:
        """The charts on the screen."""
        return [chart for chart in self.query(Chart) if chart.display]

    def chart_of(self, group: str | None) -> Chart | None:
        """The chart of a group, where it is on the screen."""
        return next((chart for chart in self.charts if chart.title_text == group), None)

    def shown(self) -> Shown | None:
        """The chosen chart as it is on the screen, for an export; None where nothing is in it."""
        chart = self.chart_of(self.chosen)
        domain = chart.domain() if chart is not None else None
        if chart is None or domain is None or self.chosen is None:
            return None
        found = (chart.plot.points(line, domain) for line in chart.lines if not line.hidden)
        lines = tuple(line for line in found if len(line.steps))
        runs = self.view.runs[0].label if len(self.view.runs) == 1 else f"{len(self.view.runs)}-runs"
        return Shown(self.chosen, runs, lines, chart.plot.axis, domain) if lines else None

    def on_resize(self) -> None:
        self._arrange()

    def on_show(self) -> None:
        self._arrange()

    def _room(self) -> tuple[int, int]:
        return self.size.width, max(1, self.size.height - 1)

    def _arrange(self) -> None:
        """Deal the charts of the page out to the widgets there are."""
        if not self.is_mounted or not self.size.width:
            return
        groups = self.groups
        if groups and self.chosen not in groups:
            self.chosen = groups[0]
        width, height = self._room()
        self._shape = (1, 1) if self.full else grid_shape(width, height, len(groups), self._columns, self._rows)
        columns, rows = self._shape
        cells = self.query_one("#charts-cells", Container)
        pool = list(cells.query(Chart))
        if len(pool) < columns * rows:
            more = [Chart(ascii_only=self.ascii_only) for _ in range(columns * rows - len(pool))]
            cells.mount_all(more)
            pool += more
        if (cells.styles.grid_size_columns, cells.styles.grid_size_rows) != (columns, rows):
            cells.styles.grid_size_columns, cells.styles.grid_size_rows = columns, rows
        page = self._page(groups)
        extent = self._extent()
        for index, chart in enumerate(pool):
            wanted = index < max(1, len(page))
            if chart.display != wanted:
                chart.display = wanted
            if wanted:
                self._fill(chart, page[index] if page else None, extent)
        self._show_bar(groups)
        self._show_legend()

    def _page(self, groups: list[str]) -> list[str]:
        columns, rows = self._shape
        size = columns * rows
        at = groups.index(self.chosen) if self.chosen in groups else 0
        return groups[at // size * size : at // size * size + size]

    def _fill(self, chart: Chart, group: str | None, extent: tuple[float, float] | None) -> None:
        low, high = self.limits.get(group or "", (None, None))
        look = replace(self.look, low=low, high=high)
        chart.says_look = False
        chart.chosen = group is not None and group == self.chosen and self._shape != (1, 1)
        chart.set_view(self.window, extent)
        chart.cursor = self.cursor
        lines = self._lines(group) if group is not None else []
        chart.top_line = lines[self._line].name if self.full and self._line < len(lines) and len(lines) > 1 else None
        if chart.plot.look != look:
            chart.plot.set_look(look)
        chart.show(group or "", lines, message=self._why_empty() if group is None else "")

    def _lines(self, group: str) -> list[Line]:
        return lines_of(self.view, group, hidden=self.hidden_lines, bands=self.bands)

    def _why_empty(self) -> str:
        if self.view.groups and self.choice.filter:
            return f"none of {len(self.view.groups)} charts holds {self.choice.filter!r}; Esc shows all"
        if self.view.groups:
            return "all charts are hidden; U shows them again"
        return self.message

    def _extent(self) -> Extent | None:
        return extent_of(self.view, self.axis, log=self.look.log_x)

    def _show_bar(self, groups: list[str]) -> None:
        """Above the charts: which page, and how they are shown."""
        columns, rows = self._shape
        facts = BarFacts(
            len(self.view.runs), len(groups), groups.index(self.chosen) if self.chosen in groups else 0,
            columns * rows, self.choice.filter, len(self.choice.hidden & set(self.view.groups)), self.look,
            self._axis_shown, self.bands, self.window, self.cursor,
        )  # fmt: skip
        text = bar_text(facts, full=self.full, ascii_only=self.ascii_only)
        bar = self.query_one("#charts-bar", Static)
        if getattr(bar, "shown_text", None) != text:
            bar.shown_text = text  # type: ignore[attr-defined]
            bar.update(text, layout=False)

    @property
    def _axis_shown(self) -> Axis:
        """The x axis in use, which is the step where the wanted one isn't known."""
        chart = self.chart_of(self.chosen)
        return chart.plot.axis if chart is not None else self.axis

    def _show_legend(self) -> None:
        legend = self.query_one(Legend)
        chart = self.chart_of(self.chosen)
        wanted = self.full and chart is not None and self.size.height >= _LEGEND_FROM
        if legend.display != wanted:
            legend.display = wanted
        if not wanted or chart is None:
            return
        self._line = min(self._line, max(0, len(chart.lines) - 1))
        rows = min(len(chart.lines) + 1, max(3, self.size.height // 3))
        if legend.styles.height is None or legend.styles.height.value != rows:
            legend.styles.height = rows
        legend.show(legend_entries(chart, self.cursor), self._line)
