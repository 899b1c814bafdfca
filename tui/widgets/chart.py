"""The live chart: braille on the Line API, min/max per pixel column, only changed rows drawn again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from engine.store.buckets import Buckets, Curve
from tui import format
from tui.widgets import raster
from tui.widgets.raster import Cells, Domain
from tui.widgets.smoothing import Smoother

OKABE_ITO = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2", "#999999")
_GUTTER = 8
_LEGEND_MARKS = "━╍┅┈"


@dataclass(frozen=True)
class Line:
    """One named curve."""

    label: str
    curve: Curve


@dataclass(frozen=True)
class Look:
    """How curves are shown; the viewer's choice, not the run's."""

    log_y: bool = False
    smoothing: float = 0.0


class Chart(Widget):
    """Curves over steps. Give it lines and a look; it reads nothing by itself."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"chart--axis", "chart--title", "chart--broken"}
    DEFAULT_CSS: ClassVar[str] = """
    Chart { height: 1fr; width: 1fr; }
    Chart > .chart--axis { color: $text-muted; }
    Chart > .chart--title { text-style: bold; }
    Chart > .chart--broken { color: $error; text-style: bold; }
    """

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self.lines: tuple[Line, ...] = ()
        self.title_text = ""
        self.message = ""
        self.look = Look()
        self._smoothers: dict[str, Smoother] = {}
        self._strips: list[Strip] = []
        self._drawn_for: tuple[int, int] = (0, 0)

    def show(self, title: str, lines: Sequence[Line], *, message: str = "") -> None:
        """Show these curves; `message` stands in the middle when there are none."""
        self.title_text, self.lines, self.message = title, tuple(lines), message
        self.redraw()

    def set_look(self, look: Look) -> None:
        """Change scale or smoothing."""
        if look.smoothing != self.look.smoothing:
            self._smoothers.clear()
        self.look = look
        self.redraw()

    def redraw(self) -> None:
        """Compute all rows and repaint those that changed."""
        width, height = self.size
        if not width or not height:
            return
        fresh = self._build(width, height)
        if self._drawn_for != (width, height) or len(fresh) != len(self._strips):
            self._strips, self._drawn_for = fresh, (width, height)
            self.refresh()
            return
        changed = [row for row, (old, new) in enumerate(zip(self._strips, fresh, strict=True)) if old != new]
        self._strips = fresh
        if changed:
            self.refresh(*(Region(0, row, width, 1) for row in changed))

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
            self._strips, self._drawn_for = self._build(width, height), (width, height)
        return self._strips[y] if y < len(self._strips) else Strip.blank(width, self.rich_style)

    def domain(self) -> Domain | None:
        """What the plot spans; None without any point."""
        return self._reduced(1)[0]

    def _reduced(self, count: int) -> tuple[Domain | None, list[Buckets]]:
        """What the plot spans, and each curve in so many pixel columns of it."""
        curves = [line.curve for line in self.lines if len(line.curve)]
        if not curves:
            return None, []
        first = min(float(curve.steps[0]) for curve in curves)
        last = max(float(curve.steps[-1]) for curve in curves)
        x0, x1 = raster.step_domain(first, last)
        reduced = [line.curve.buckets(x0, x1, count) for line in self.lines]
        low, high = raster.bounds_of(reduced)
        log = self.look.log_y
        if log and not low > 0:  # only what is above zero counts, where anything is
            above = raster.positive_bounds(curves)
            log = math.isfinite(above[0])
            low, high = above if log else (low, high)
        y0, y1 = raster.value_domain(low, high, log=log)
        return Domain(x0, x1, y0, y1, log), reduced

    def _build(self, width: int, height: int) -> list[Strip]:
        base = self.rich_style
        gutter = _GUTTER if width >= 24 else 0
        plot_width = width - gutter
        domain, reduced = self._reduced(raster.pixels(plot_width, ascii_only=self.ascii_only))
        title = self._title_strip(width, base, domain)
        if domain is None or height < 3 or width < 12:
            return [title, *self._message_strips(width, height - 1, base)][:height]
        has_axis, has_labels = height >= 7, height >= 5
        plot_height = height - 1 - has_axis - has_labels
        layers, styles = self._layers(domain, reduced)
        cells = raster.draw(layers, domain, plot_width, plot_height, ascii_only=self.ascii_only)
        broken = self._broken(layers, plot_width)
        rows = self._plot_strips(cells, [base + style for style in styles], domain, gutter, base)
        if not has_axis and broken.any() and rows:
            rows[-1] = _overlay(rows[-1], broken, gutter, base + self._style("chart--broken"), self._cross)
        strips = [title, *rows]
        if has_axis:
            strips.append(self._axis_strip(broken, gutter, base))
        if has_labels:
            strips.append(self._label_strip(domain, width, gutter, base))
        return strips

    def _layers(self, domain: Domain, reduced: list[Buckets]) -> tuple[list[Buckets], list[Style]]:
        """What is drawn, the lowest first: raw curves dimmed under smoothed ones."""
        raw: list[tuple[Buckets, Style]] = []
        smooth: list[tuple[Buckets, Style]] = []
        for index, (line, buckets) in enumerate(zip(self.lines, reduced, strict=True)):
            style = Style(color=OKABE_ITO[index % len(OKABE_ITO)])
            if not self._is_smoothed(line):
                raw.append((buckets, style))
                continue
            raw.append((buckets, style + Style(dim=True)))
            count = len(buckets)
            smoothed = self._smoother(line.label).smooth(line.curve).buckets(domain.x0, domain.x1, count)
            # Where the raw value is no number is marked once.
            smooth.append((replace(smoothed, broken=np.zeros(count, np.bool_)), style))
        layers = [*raw, *smooth]
        return [layer for layer, _ in layers], [style for _, style in layers]

    def _is_smoothed(self, line: Line) -> bool:
        """Few points beside many (validation beside training) are left as they are: their mean would lag by epochs."""
        densest = max(len(other.curve) for other in self.lines)
        return bool(self.look.smoothing) and len(line.curve) > densest // 10

    def _smoother(self, label: str) -> Smoother:
        if label not in self._smoothers:
            self._smoothers[label] = Smoother(self.look.smoothing)
        return self._smoothers[label]

    def _broken(self, layers: list[Buckets], plot_width: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        broken = np.zeros(plot_width, np.bool_)
        for layer in layers:
            broken |= layer.broken.reshape(plot_width, -1).any(axis=1)
        return broken

    def _plot_strips(self, cells: Cells, styles: list[Style], domain: Domain, gutter: int, base: Style) -> list[Strip]:
        height, width = cells.codes.shape
        axis = base + self._style("chart--axis")
        labels = _row_labels(domain, height) if gutter else {}
        bar, tick = ("|", "+") if self.ascii_only else ("│", "┤")
        strips = []
        for row in range(height):
            segments = []
            if gutter:
                label = labels.get(row, "")
                segments.append(Segment(f"{label:>{gutter - 1}}{tick if label else bar}", axis))
            tops = _carried(cells.layers[row])
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

    def _axis_strip(self, broken: np.ndarray[tuple[int], np.dtype[np.bool_]], gutter: int, base: Style) -> Strip:
        corner, line = ("+", "-") if self.ascii_only else ("└", "─")
        head = f"{'NaN ' if broken.any() else '':>{gutter - 1}}{corner}" if gutter else ""
        strip = Strip([Segment(head + line * len(broken), base + self._style("chart--axis"))])
        return _overlay(strip, broken, gutter, base + self._style("chart--broken"), self._cross)

    def _label_strip(self, domain: Domain, width: int, gutter: int, base: Style) -> Strip:
        room = [" "] * width
        plot_width = width - gutter
        free = 0
        for tick in raster.nice_ticks(domain.x0, domain.x1, max(1, plot_width // 12), whole=True):
            label = format.short(tick)
            at = gutter + round((tick - domain.x0) / (domain.x1 - domain.x0) * (plot_width - 1)) - len(label) // 2
            at = min(max(at, 0), width - len(label))
            if at >= free:
                room[at : at + len(label)] = label
                free = at + len(label) + 1
        return Strip([Segment("".join(room)[:width], base + self._style("chart--axis"))])

    def _title_strip(self, width: int, base: Style, domain: Domain | None) -> Strip:
        axis = base + self._style("chart--axis")
        segments = [Segment(self.title_text, base + self._style("chart--title"))]
        for index, line in enumerate(self.lines):
            mark = _LEGEND_MARKS[0] if not self.ascii_only else raster.ascii_mark(index)
            style = base + Style(color=OKABE_ITO[index % len(OKABE_ITO)])
            value = self._smoother(line.label).smooth(line.curve).last if self._is_smoothed(line) else line.curve.last
            segments.append(Segment(f"  {mark} {line.label} {format.number(value)}", style))
        if self.look.log_y:
            segments.append(Segment("  log" if domain is None or domain.log else "  log: nothing above 0", axis))
        if self.look.smoothing:
            segments.append(Segment(f"  smooth {self.look.smoothing:g}", axis))
        return Strip(segments).adjust_cell_length(width, base)

    def _message_strips(self, width: int, height: int, base: Style) -> list[Strip]:
        strips = [Strip.blank(width, base) for _ in range(max(0, height))]
        if self.message and strips:
            middle = len(strips) // 2
            text = self.message[:width].center(width)
            strips[middle] = Strip([Segment(text, base + self._style("chart--axis"))])
        return strips

    def _style(self, name: str) -> Style:
        style = self.get_component_rich_style(name)
        # The widget's own background stands under everything, so a row is one colour run as often as possible.
        return Style(color=style.color, bold=style.bold, dim=style.dim)


def _carried(tops: np.ndarray[Any, np.dtype[np.int16]]) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Blank cells take the colour before them: it doesn't show, and each change of colour costs forty bytes."""
    known = np.where(tops >= 0, np.arange(len(tops)), 0)
    carried: np.ndarray[Any, np.dtype[np.int16]] = tops[np.maximum.accumulate(known)]
    return carried


def _row_labels(domain: Domain, height: int) -> dict[int, str]:
    """Which row gets which label; one a row at most, and none twice."""
    count = max(2, height // 3)
    ticks = (raster.log_ticks if domain.log else raster.nice_ticks)(domain.y0, domain.y1, count)
    pixel_rows = raster.rows_of(np.array(ticks, np.float64), domain, height * 4)
    labels: dict[int, str] = {}
    for tick, pixel in zip(ticks, pixel_rows, strict=True):
        labels.setdefault(int(pixel) // 4, format.short(tick))
    return labels


def _overlay(
    strip: Strip, where: np.ndarray[tuple[int], np.dtype[np.bool_]], offset: int, style: Style, sign: str
) -> Strip:
    """The strip with a sign in some of its cells."""
    places = np.flatnonzero(where)
    if not len(places):
        return strip
    parts: list[Strip] = []
    done = 0
    for place in places.tolist():
        parts.append(strip.crop(done, offset + place))
        parts.append(Strip([Segment(sign, style)]))
        done = offset + place + 1
    parts.append(strip.crop(done))
    return Strip.join(parts)
