"""Small multiples: all metrics of one or several runs as pages of charts, and one of them in full with its legend."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from textual import events, on
from textual.message import Message
from textual.widgets import Input

from tui.chart_choice import Choice, limits_out, parse_limits
from tui.widgets.chart import Chart, Window
from tui.widgets.chart_cells import ChartCells
from tui.widgets.chart_window import WHEEL, ZOOM, Extent, is_finite, window_within, with_tail, zoomed
from tui.widgets.scale import AXES, Axis, Domain
from tui.widgets.smoothing import nearest_weight


class ChartGrid(ChartCells, can_focus=True):
    """A grid of charts with one of them chosen. `show` gives it curves; everything else is the viewer's choice.

    What is chosen is kept in the app's view state, so that it outlives a hang-up.
    """

    class Opened(Message):
        """The chosen chart shall be seen in full."""

        def __init__(self, grid: ChartGrid, group: str) -> None:
            super().__init__()
            self.grid, self.group = grid, group

    class AxisWanted(Message):
        """Another x axis was chosen: the curves must be read with their places on it."""

    # Moving: the keys of all panes

    def move_by(self, rows: int) -> None:
        """A row of charts up or down; in a full chart another line."""
        if self.full:
            chart = self.chart_of(self.chosen)
            self._line = min(max(self._line + rows, 0), max(0, len(chart.lines) - 1 if chart else 0))
            self._arrange()
        else:
            self._step(rows * self._shape[0], rows)

    def move_page(self, halves: int) -> None:
        """To the next or last page."""
        self._step(halves * self._shape[0] * self._shape[1], halves)

    def move_to_start(self) -> None:
        """To the first chart."""
        self._step(-len(self.groups))

    def move_to_end(self) -> None:
        """To the last chart."""
        self._step(len(self.groups))

    def move_sideways(self, columns: int) -> None:
        """To the chart beside it; in a full chart the crosshair."""
        direction = 1 if columns > 0 else -1
        if self.full:
            self.move_cursor(direction)
        else:
            self._step(direction)

    def next_chart(self, direction: int) -> None:
        """The next chart or the one before, round the end."""
        groups = self.groups
        if groups:
            at = groups.index(self.chosen) if self.chosen in groups else -direction
            self.choose(groups[(at + direction) % len(groups)])

    def _step(self, by: int, direction: int = 0) -> None:
        groups = self.groups
        if not groups:
            return
        at = groups.index(self.chosen) if self.chosen in groups else 0
        to = min(max(at + by, 0), len(groups) - 1)
        if direction and abs(by) > 1 and to // self._shape[0] == at // self._shape[0]:
            return  # in the last row there is no row below
        self.choose(groups[to])

    def choose(self, group: str) -> None:
        """Go to a chart."""
        if group != self.chosen:
            self.chosen = group
            self._line = 0
            self.heats.change_state(metric=group)
        self._arrange()

    def open(self) -> None:
        """See the chosen chart in full."""
        if self.chosen is not None and not self.full:
            self.post_message(self.Opened(self, self.chosen))

    def set_full(self, full: bool) -> None:
        """The chosen chart alone, or all of them."""
        self.full = full
        self._arrange()

    def on_key(self, event: events.Key) -> None:
        if event.key == "enter" and not self.full and self.has_focus:
            event.stop()
            self.open()

    # Looks

    def set_look(self, **changes: Any) -> None:
        """Change how all charts look, and keep it."""
        before, self.look = self.look, replace(self.look, **changes)
        look = self.look
        self.heats.change_state(
            log_y=look.log_y, smoothing=look.smoothing, chart_axis=look.axis, chart_log_x=look.log_x,
            chart_clip=look.clip,
        )  # fmt: skip
        if (look.axis, look.log_x) != (before.axis, before.log_x):
            self.window, self.cursor = None, None  # they were places on another axis
        if look.axis != before.axis:
            self.post_message(self.AxisWanted())
            return  # drawn when the places are here
        self._arrange()

    def smooth(self, direction: int) -> None:
        """Smooth more or less."""
        self.set_look(smoothing=nearest_weight(self.look.smoothing, direction))

    def next_axis(self) -> None:
        """Steps, epochs, time trained, the clock."""
        self.set_look(axis=AXES[(AXES.index(self.look.axis) + 1) % len(AXES)])

    def toggle_bands(self) -> None:
        """Runs of one arm as one line with a band, or each for itself."""
        self.bands = not self.bands
        self.heats.change_state(chart_bands=self.bands)
        self._arrange()

    def resize_grid(self, columns: int, rows: int) -> None:
        """More or fewer charts on a page."""
        across, down = self._shape
        if self.full:
            return
        width, height = self._room()
        self._columns = min(max(1, across + columns), 9) if columns else self._columns
        self._rows = min(max(1, down + rows), 9) if rows else self._rows
        self._columns, self._rows = (
            min(self._columns, max(1, width // 14)), min(self._rows, max(1, height // 4)),
        )  # fmt: skip
        self.heats.change_state(chart_columns=self._columns, chart_rows=self._rows)
        self._arrange()

    # Zoom, pan, crosshair

    def _domain(self) -> Domain | None:
        chart = self.chart_of(self.chosen) or next(iter(self.charts), None)
        return chart.domain() if chart is not None else None

    def zoom(self, direction: int, at: float | None = None, factor: float = ZOOM) -> None:
        """Closer (1) or farther (-1), around a place: the crosshair, else the end that is followed, else the middle."""
        domain, extent = self._domain(), self._extent()
        if domain is None or extent is None:
            return
        around = at if at is not None else self.cursor
        follows = self.window is None or self.window.tail
        part = zoomed(domain, extent, direction, axis=self.axis, at=around, follows=follows, factor=factor)
        if part is not None:
            self._show_part(part)

    def pan(self, share: float) -> None:
        """Along the x axis by a share of what is shown; to the right is above zero."""
        domain = self._domain()
        if domain is not None and self.window is not None:
            self._show_part((domain.place(share), domain.place(1 + share)))

    def _show_part(self, part: Extent) -> None:
        extent, axis = self._extent(), self._axis_shown
        if extent is None or not is_finite(part):
            return
        self.window = window_within(extent, *part, axis=axis, log=self.look.log_x and axis != "time")
        self._arrange()

    def reset(self) -> None:
        """All of the curves again, without crosshair."""
        self.window, self.cursor = None, None
        self._arrange()

    def toggle_tail(self) -> None:
        """Follow the newest points while zoomed, or stay."""
        domain = self._domain()
        if domain is None:
            return
        wanted = with_tail(self.window, domain, self._extent())
        if isinstance(wanted, Window):
            self.window = wanted
            self._arrange()
        else:
            self._show_part(wanted)

    def move_cursor(self, columns: int) -> None:
        """The crosshair by columns of the chosen chart; it comes up at the newest point."""
        chart = self.chart_of(self.chosen) or next(iter(self.charts), None)
        place = chart.place_of(columns) if chart is not None else None
        if place is not None:
            self.set_cursor(place)

    def place(self) -> tuple[Axis, float] | None:
        """Where the crosshair is, on which axis."""
        return None if self.cursor is None else (self._axis_shown, self.cursor)

    def set_cursor(self, x: float | None) -> None:
        """The crosshair of all charts."""
        self.cursor = x
        for chart in self.charts:
            chart.set_cursor(x)
        self._show_bar(self.groups)
        self._show_legend()

    # Choosing charts and lines

    def _chose(self, choice: Choice) -> None:
        self.choice = choice
        self.heats.change_state(
            chart_pinned="\n".join(choice.pinned), chart_hidden="\n".join(sorted(choice.hidden)),
            chart_order="\n".join(choice.order), chart_filter=choice.filter,
        )  # fmt: skip
        self._arrange()

    def pin(self) -> None:
        """The chosen chart to the front, or back to its place."""
        if self.chosen in self.groups:
            self._chose(self.choice.toggle_pin(self.chosen))

    def hide(self) -> None:
        """Take the chosen chart out."""
        groups = self.groups
        if self.chosen not in groups:
            return
        at = groups.index(self.chosen)
        gone = self.chosen
        rest = [group for group in groups if group != gone]
        self.chosen = rest[min(at, len(rest) - 1)] if rest else None
        self._chose(replace(self.choice, hidden=self.choice.hidden | {gone}))

    def show_hidden(self) -> None:
        """All charts and lines again."""
        self.hidden_lines = frozenset()
        self._chose(replace(self.choice, hidden=frozenset()))

    def move_chart(self, direction: int) -> None:
        """The chosen chart one place forward or back."""
        if self.chosen in self.groups:
            self._chose(self.choice.move(self.chosen, direction, self.groups))

    def toggle_line(self) -> None:
        """Hide the chosen line of a full chart, or show it again."""
        chart = self.chart_of(self.chosen)
        if self.full and chart is not None and self._line < len(chart.lines):
            self.hidden_lines = self.hidden_lines ^ {chart.lines[self._line].name}
            self._arrange()

    # Typing

    @property
    def typing(self) -> bool:
        """Whether something is being typed."""
        return bool(self._asking)

    def ask_filter(self) -> None:
        """Type which charts to show."""
        self._ask("filter", self.choice.filter, "charts that hold these words, as `loss` or `val/*`")

    def ask_limits(self) -> None:
        """Type the limits of the chosen chart's y axis."""
        low, high = self.limits.get(self.chosen or "", (None, None))
        said = "" if low is None and high is None else f"{'' if low is None else low}..{'' if high is None else high}"
        self._ask("limits", said, f"limits of {self.chosen}'s y axis, as `0 2`, `..2` or `0.1..`; nothing frees it")

    def _ask(self, what: str, value: str, hint: str) -> None:
        self._asking = what
        field = self.query_one(Input)
        field.placeholder, field.value = hint, value
        field.display = True
        field.focus()

    def end_typing(self) -> None:
        """The field goes; what was typed of a filter stays."""
        self._asking = ""
        self.query_one(Input).display = False
        self.focus()

    @on(Input.Changed, "#charts-input")
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        if self._asking == "filter" and message.value != self.choice.filter:
            self._chose(replace(self.choice, filter=message.value))

    @on(Input.Submitted, "#charts-input")
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        if self._asking == "limits" and self.chosen is not None:
            try:
                limits = parse_limits(message.value)
            except ValueError as error:
                self.heats.tell(str(error), failed=True)
                return
            self.limits = {name: found for name, found in self.limits.items() if name != self.chosen}
            if limits != (None, None):
                self.limits[self.chosen] = limits
            self.heats.change_state(chart_limits=limits_out(self.limits))
        self.end_typing()
        self._arrange()

    def back(self) -> bool:
        """One step back within the charts: out of the field, the crosshair, the filter. Whether there was any."""
        if self.typing:
            self.end_typing()
        elif self.cursor is not None:
            self.set_cursor(None)
        elif self.choice.filter and not self.full:
            self._chose(replace(self.choice, filter=""))
        else:
            return False
        return True

    # Mouse

    @on(Chart.Pointed)
    def _pointed(self, message: Chart.Pointed) -> None:
        message.stop()
        self.focus()
        if message.chart.title_text in self.groups and message.chart.title_text != self.chosen:
            self.choose(message.chart.title_text)
        if message.times > 1:
            self.open()
        elif message.x is not None:
            self.set_cursor(message.x)

    @on(Chart.Wheeled)
    def _wheeled(self, message: Chart.Wheeled) -> None:
        message.stop()
        self.zoom(message.direction, message.x, WHEEL)

    @on(Chart.Dragged)
    def _dragged(self, message: Chart.Dragged) -> None:
        message.stop()
        self.pan(-message.share)
