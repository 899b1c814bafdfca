"""The live chart: braille on the Line API, min/max per pixel column, only changed rows drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from engine.late import np
from tui import format
from tui.widgets import raster, scale
from tui.widgets.changes import changed_regions
from tui.widgets.chart_signs import broken_columns, carried, overlay, place_label, row_labels, with_sign
from tui.widgets.plot import Line, Look, Plot, Window, letter_of
from tui.widgets.raster import Cells
from tui.widgets.scale import Domain

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Chart", "Line", "Look", "Window"]

OKABE_ITO = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2", "#999999")
ON_LIGHT = ("#0072b2", "#d55e00", "#007a5a", "#8a6d00", "#aa4499", "#b34700", "#1f77b4", "#555555")
"""The same hues dark enough for a light ground."""
_GUTTER = 8


@dataclass(frozen=True)
class _Frame:
    """Where the plot lies in the widget, and what it spans."""

    domain: Domain
    gutter: int
    width: int
    top: int
    height: int

    def column(self, x: float) -> int | None:
        """The cell column of the widget in which a place lies; None outside."""
        share = self.domain.share(x)
        return self.gutter + min(self.width - 1, int(share * self.width)) if 0 <= share <= 1 else None

    def place(self, column: int) -> float:
        """The place in the middle of a cell column of the widget."""
        return self.domain.place((column - self.gutter + 0.5) / self.width)


class Chart(Widget):
    """Curves over steps or time. Give it lines and a look; it reads nothing by itself."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"chart--axis", "chart--title", "chart--broken", "chart--chosen"}
    DEFAULT_CSS: ClassVar[str] = """
    Chart { height: 1fr; width: 1fr; }
    Chart > .chart--axis { color: $text-muted; }
    Chart > .chart--title { text-style: bold; }
    Chart > .chart--chosen { text-style: bold reverse; }
    Chart > .chart--broken { color: $error; text-style: bold; }
    """

    class Pointed(Message):
        """Somebody clicked on a place of the x axis (None: beside the plot); `times` is 2 for a double click."""

        def __init__(self, chart: Chart, x: float | None, times: int) -> None:
            super().__init__()
            self.chart, self.x, self.times = chart, x, times

    class Wheeled(Message):
        """The wheel turned over a place; `direction` is 1 for closer."""

        def __init__(self, chart: Chart, x: float | None, direction: int) -> None:
            super().__init__()
            self.chart, self.x, self.direction = chart, x, direction

    class Dragged(Message):
        """The plot was dragged by a share of its width; to the right is above zero."""

        def __init__(self, chart: Chart, share: float) -> None:
            super().__init__()
            self.chart, self.share = chart, share

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self.plot = Plot()
        self.title_text = ""
        self.message = ""
        self.cursor: float | None = None
        """The place of the crosshair."""
        self.top_line: str | None = None
        """The line that is drawn over all others."""
        self.says_look = True
        """Whether the title tells scale and smoothing; not where something above many charts does."""
        self.chosen = False
        """Whether its title stands out, as the one that keys act on."""
        self._frame: _Frame | None = None
        self._base: list[Strip] = []
        self._tops: NDArray[Any] | None = None
        self._strips: list[Strip] = []
        self._drawn_for: tuple[int, int] = (0, 0)
        self._drag_from: int | None = None

    @property
    def lines(self) -> tuple[Line, ...]:
        """The curves."""
        return self.plot.lines

    @property
    def look(self) -> Look:
        """How they are shown."""
        return self.plot.look

    def show(self, title: str, lines: Sequence[Line], *, message: str = "") -> None:
        """Show these curves; `message` stands in the middle when there are none."""
        self.title_text, self.message = title, message
        self.plot.show(lines)
        self.redraw()

    def set_look(self, look: Look) -> None:
        """Change scale, axis or smoothing."""
        self.plot.set_look(look)
        self.redraw()

    def set_view(self, window: Window | None, extent: tuple[float, float] | None = None) -> None:
        """Zoom to a part of the x axis, or show all; `extent` is from where to where charts beside it reach."""
        self.plot.window, self.plot.extent = window, extent

    def set_cursor(self, x: float | None) -> None:
        """Put the crosshair to a place, or take it away; only its columns and the title are drawn again."""
        if x == self.cursor:
            return
        before, self.cursor = self.cursor, x
        frame = self._frame
        if frame is None or self._drawn_for != tuple(self.size) or not self._strips:
            self.redraw()
            return
        fresh = self._overlaid()
        rims = [0, len(fresh) - 1] if len(fresh) > 1 else [0]  # the title and the labels of x
        regions = [
            Region(found.x, row, found.width, 1)
            for row in rims
            for found in changed_regions(self._strips[row : row + 1], fresh[row : row + 1])
        ]
        columns = {frame.column(place) for place in (before, x) if place is not None} - {None}
        regions += [Region(column, frame.top, 1, frame.height + 1) for column in columns if column is not None]
        self._strips = fresh
        if regions:
            self.refresh(*regions)

    def set_chosen(self, chosen: bool) -> None:
        """Whether this is the chart that keys act on."""
        if chosen != self.chosen:
            self.chosen = chosen
            self.redraw()

    def redraw(self) -> None:
        """Compute all rows and repaint those that changed."""
        width, height = self.size
        if not width or not height:
            return
        self._base = self._build(width, height)
        fresh = self._overlaid()
        if self._drawn_for != (width, height) or len(fresh) != len(self._strips):
            self._strips, self._drawn_for = fresh, (width, height)
            self.refresh()
            return
        changed = changed_regions(self._strips, fresh)
        self._strips = fresh
        if changed:
            self.refresh(*changed)

    def on_resize(self) -> None:
        self.redraw()

    def notify_style_update(self) -> None:
        """The theme changed: colours are part of the rows."""
        super().notify_style_update()
        self._drawn_for = (0, 0)

    def render_line(self, y: int) -> Strip:
        """One row of the chart."""
        width, height = self.size
        if self._drawn_for != (width, height):
            self._base = self._build(width, height)
            self._strips, self._drawn_for = self._overlaid(), (width, height)
        return self._strips[y] if y < len(self._strips) else Strip.blank(width, self.rich_style)

    def domain(self) -> Domain | None:
        """What the plot spans; None without any point."""
        reduced = self.plot.reduce(1)
        return reduced[0] if reduced else None

    def place_of(self, columns: int) -> float | None:
        """The place so many columns from the crosshair, or from the end of the curves where there is none."""
        frame = self._frame
        if frame is None:
            return None
        if self.cursor is None or frame.column(self.cursor) is None:
            reach = self.plot.reach()
            end = min(reach[1] if reach else frame.domain.x1, frame.domain.x1)
            return max(end, frame.domain.x0)
        column = frame.column(self.cursor) or 0
        return frame.place(min(max(column + columns, frame.gutter), frame.gutter + frame.width - 1))

    # Mouse

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, -1)

    def _wheel(self, event: events.MouseEvent, direction: int) -> None:
        event.stop()
        self.post_message(self.Wheeled(self, self._place_at(event.x), direction))

    def _place_at(self, column: int) -> float | None:
        frame = self._frame
        if frame is None or not frame.gutter <= column < frame.gutter + frame.width:
            return None
        return frame.place(column)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if event.button == 1 and self._frame is not None:
            self._drag_from = event.x
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._drag_from is not None and self._frame is not None and event.x != self._drag_from:
            self.post_message(self.Dragged(self, (event.x - self._drag_from) / self._frame.width))
            self._drag_from = event.x

    def on_mouse_up(self) -> None:
        if self._drag_from is not None:
            self._drag_from = None
            self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Pointed(self, self._place_at(event.x), event.chain))

    # Rows

    @property
    def _has_letters(self) -> bool:
        return (self.ascii_only or self.app.no_color) and len(self.lines) > 1

    def style_of(self, number: int) -> Style:
        """The style of a line by the number of its colour."""
        if self.app.no_color:
            return Style()
        colors = OKABE_ITO if self.app.current_theme.dark else ON_LIGHT
        return Style(color=colors[number % len(colors)])

    def mark_of(self, line: Line) -> str:
        """The sign that stands for a line in a legend."""
        number = self.plot.color(line)
        if self._has_letters:
            return letter_of(number)
        if self.ascii_only:
            return raster.ascii_mark(number)
        return ("━", "╍", "┅", "┈")[min(line.dash, 3)]

    def _build(self, width: int, height: int) -> list[Strip]:
        """The rows below the title; without the crosshair."""
        base = self.rich_style
        gutter = _GUTTER if width >= 24 else 0
        plot_width = width - gutter
        reduced = None
        if height >= 3 and width >= 12:
            reduced = self.plot.reduce(raster.pixels(plot_width, ascii_only=self.ascii_only))
        if reduced is None:
            self._frame = None
            return self._message_strips(width, height - 1, base)
        domain, found = reduced
        has_axis, has_labels = height >= 7, height >= 5
        plot_height = height - 1 - has_axis - has_labels
        self._frame = _Frame(domain, gutter, plot_width, 1, plot_height)
        layers = self.plot.layers(found, letters=self._has_letters, top=self.top_line)
        cells = raster.draw(
            [layer for layer, _, _ in layers], domain, plot_width, plot_height, ascii_only=self.ascii_only, rim=False
        )
        self._tops = cells.layers
        styles = [base + self.style_of(color) + Style(dim=dim) for _, color, dim in layers]
        broken = broken_columns([layer for layer, _, _ in layers], plot_width)
        rows = self._plot_strips(cells, styles, domain, gutter, base)
        if not has_axis and broken.any() and rows:
            rows[-1] = overlay(rows[-1], broken, gutter, base + self._style("chart--broken"), self._cross)
        if has_axis:
            rows.append(self._axis_strip(broken, gutter, base))
        if has_labels:
            rows.append(self._label_strip(domain, width, gutter, base))
        return rows

    def _overlaid(self) -> list[Strip]:
        """All rows: the title, and the crosshair over what was built."""
        width, height = self.size
        base, frame = self.rich_style, self._frame
        rows = list(self._base)
        column = frame.column(self.cursor) if frame is not None and self.cursor is not None else None
        if frame is not None and column is not None and self._tops is not None:
            style = base + self._style("chart--axis")
            bar, foot = ("|", "+") if self.ascii_only else ("│", "┼")
            for row in range(len(rows)):
                free = row >= frame.height or self._tops[row, column - frame.gutter] < 0
                if row > frame.height or not free:
                    continue
                sign = bar if row < frame.height else foot
                rows[row] = with_sign(rows[row], column, Strip([Segment(sign, style)]))
            if len(rows) > frame.height + 1 and self.cursor is not None:
                label = f" {place_label(self.cursor, self.plot.axis)} "
                at = min(max(frame.gutter, column - len(label) // 2), max(0, width - len(label)))
                strip = Strip([Segment(label, base + Style(reverse=True))])
                rows[-1] = with_sign(rows[-1], at, strip).crop(0, width)
        return [self._title_strip(width, base), *rows][:height]

    def _plot_strips(self, cells: Cells, styles: list[Style], domain: Domain, gutter: int, base: Style) -> list[Strip]:
        height, width = cells.codes.shape
        axis = base + self._style("chart--axis")
        labels = row_labels(domain, height) if gutter else {}
        bar, tick = ("|", "+") if self.ascii_only else ("│", "┤")
        strips = []
        for row in range(height):
            segments = []
            if gutter:
                label = labels.get(row, "")
                segments.append(Segment(f"{label:>{gutter - 1}}{tick if label else bar}", axis))
            tops = carried(cells.layers[row])
            text = raster.text_of(cells.codes[row])
            cuts = [0, *(np.flatnonzero(np.diff(tops)) + 1).tolist(), width]
            for begin, end in pairwise(cuts):
                style = styles[tops[begin]] if tops[begin] >= 0 else base
                segments.append(Segment(text[begin:end], style))
            strips.append(Strip(segments, width + gutter))
        return strips

    @property
    def _cross(self) -> str:
        return "x" if self.ascii_only else "×"

    def _axis_strip(self, broken: NDArray[np.bool_], gutter: int, base: Style) -> Strip:
        corner, line = ("+", "-") if self.ascii_only else ("└", "─")
        said = f"NaN {format.short(self.plot.broken)}"[: gutter - 1] if self.plot.broken else ""
        head = f"{said:>{gutter - 1}}{corner}" if gutter else ""
        strip = Strip([Segment(head + line * len(broken), base + self._style("chart--axis"))])
        return overlay(strip, broken, gutter, base + self._style("chart--broken"), self._cross)

    def _label_strip(self, domain: Domain, width: int, gutter: int, base: Style) -> Strip:
        room = [" "] * width
        plot_width = width - gutter
        free = 0
        for tick, label in scale.x_ticks(domain, max(1, plot_width // 12), self.plot.axis):
            at = gutter + round(domain.share(tick) * (plot_width - 1)) - len(label) // 2
            at = min(max(at, 0), width - len(label))
            if at >= free:
                room[at : at + len(label)] = label
                free = at + len(label) + 1
        return Strip([Segment("".join(room)[:width], base + self._style("chart--axis"))])

    def _title_strip(self, width: int, base: Style) -> Strip:
        axis = base + self._style("chart--axis")
        title = base + self._style("chart--chosen" if self.chosen else "chart--title")
        segments = [Segment(self.title_text, title)]
        notes = self.notes()
        if notes:
            segments.append(Segment(f"  {notes}", axis))
        slack = 0.0
        if self._frame is not None:
            slack = (self._frame.domain.x1 - self._frame.domain.x0) / self._frame.width
        for line in self.lines:
            style = base + self.style_of(self.plot.color(line)) + Style(dim=line.hidden)
            reading = self.plot.read(line, self.cursor, slack)
            value = reading.value if reading.smoothed is None else reading.smoothed
            said = "hidden" if line.hidden else format.number(value)
            segments.append(Segment(f"  {self.mark_of(line)} {line.label} {said}", style))
        return Strip(segments).adjust_cell_length(width, base)

    def notes(self) -> str:
        """What one must know to read the chart right: scale, smoothing, points outside, an axis that is missing."""
        plot, look, frame = self.plot, self.plot.look, self._frame
        notes = []
        if plot.lacking:
            notes.append(f"by step: {plot.lacking} knows no {scale.AXIS_NAMES[look.axis]}")
        if plot.outside and frame is not None:
            notes.append(f"{format.short(plot.outside)} outside")
        if look.log_y and frame is not None and not frame.domain.log:
            notes.append("log: nothing above 0")
        elif look.log_y and self.says_look:
            notes.append("log")
        if self.says_look:
            notes += ["log x"] if plot.log_x else []
            notes += [f"smooth {look.smoothing:g}"] if look.smoothing else []
        return "  ".join(notes)

    def _message_strips(self, width: int, height: int, base: Style) -> list[Strip]:
        strips = [Strip.blank(width, base) for _ in range(max(0, height))]
        if self.message and strips:
            middle = len(strips) // 2
            text = self.message[:width].center(width)
            strips[middle] = Strip([Segment(text, base + self._style("chart--axis"))]).adjust_cell_length(width, base)
        return strips

    def _style(self, name: str) -> Style:
        """A component's colours without its background, so that they lie on any."""
        style = self.get_component_rich_style(name, partial=True)
        return Style(color=style.color, bold=style.bold, dim=style.dim, reverse=style.reverse)
