"""What a chart draws of its curves: domain, layers, what lies outside, and readings at a place. No widget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.late import np
from engine.store.buckets import Buckets, Curve, Floats
from tui.chart_export import ShownLine
from tui.widgets import raster, scale
from tui.widgets.raster import Layer
from tui.widgets.scale import Axis, Domain
from tui.widgets.smoothing import Smoother, usual_distance

_SAMPLE = 20_000
CLIPPED = (1.0, 99.0)
"""The percentiles between which values are shown when outliers are trimmed."""


@dataclass(frozen=True)
class Line:
    """One named curve.

    Args:
        label: its name in the legend.
        curve: its points.
        places: where each point lies on an axis other than the step; None where that isn't known.
        color: its colour and mark by number; by its place among the lines if not given.
        dash: length of its dashes in dots, 0 for an unbroken line.
        band: the lower and upper rim of the band around it, at the same steps.
        hidden: not drawn, but named.
        key: what it is called among all lines, where labels may be the same.
    """

    label: str
    curve: Curve
    places: Floats | None = None
    color: int | None = None
    dash: int = 0
    band: tuple[Curve, Curve] | None = None
    hidden: bool = False
    key: str = ""

    @property
    def name(self) -> str:
        """What it is called among all lines."""
        return self.key or self.label


@dataclass(frozen=True)
class Look:
    """How curves are shown; the viewer's choice, not the run's. `low` and `high` are limits of y."""

    log_y: bool = False
    smoothing: float = 0.0
    axis: Axis = "step"
    log_x: bool = False
    clip: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Window:
    """The part of the x axis that is zoomed to; one with `tail` goes on with what is new."""

    start: float
    stop: float
    tail: bool = False


@dataclass(frozen=True)
class Reading:
    """What a curve says at a place; None where it has no point there."""

    step: int | None = None
    value: float | None = None
    smoothed: float | None = None
    moment: float | None = None
    """When it was logged, in seconds since 1970."""


class Plot:
    """Lines and a look, and what follows from them. Keeps what has been smoothed."""

    def __init__(self) -> None:
        self.lines: tuple[Line, ...] = ()
        self.look = Look()
        self.window: Window | None = None
        self.extent: tuple[float, float] | None = None
        """From where to where all charts beside each other reach; by its own lines if None."""
        self.lacking = ""
        """Which line doesn't know its places on the axis that was asked for: then it is the step."""
        self.outside = 0
        """How many points in view lie above or below what is shown."""
        self.broken = 0
        """How many values are NaN or infinite."""
        self._smoothers: dict[str, Smoother] = {}
        self._unit = 1.0
        self._counts: dict[str, tuple[tuple[object, ...], int]] = {}

    def show(self, lines: Sequence[Line]) -> None:
        """Other or longer lines."""
        self.lines = tuple(lines)
        self.broken = sum(line.curve.broken for line in self.lines if not line.hidden)
        unit = usual_distance([line.curve for line in self.lines]) if self.look.smoothing else 1.0
        if unit != self._unit:
            self._smoothers.clear()
            self._unit = unit
        self._find_lacking()

    def set_look(self, look: Look) -> None:
        """Another way to show them."""
        if look.smoothing != self.look.smoothing:
            self._smoothers.clear()
        self.look = look
        self.show(self.lines)

    def _find_lacking(self) -> None:
        lacking = (line.label for line in self.lines if line.places is None and len(line.curve))
        self.lacking = next(lacking, "") if self.look.axis != "step" else ""

    @property
    def axis(self) -> Axis:
        """The axis in use."""
        return "step" if self.lacking else self.look.axis

    @property
    def log_x(self) -> bool:
        """Whether x is logarithmic; a clock has no start to take a logarithm from."""
        return self.look.log_x and self.axis != "time"

    def places(self, line: Line) -> Floats | None:
        """Where the line's points lie; None for their steps."""
        return None if self.axis == "step" else line.places

    def smoothed(self, line: Line) -> Curve | None:
        """The smoothed curve; None where nothing is smoothed."""
        if not self.look.smoothing or line.band is not None:
            return None
        if line.name not in self._smoothers:
            self._smoothers[line.name] = Smoother(self.look.smoothing, self._unit)
        return self._smoothers[line.name].smooth(line.curve)

    def reach(self) -> tuple[float, float] | None:
        """From where to where its own lines reach; None without any point."""
        firsts, lasts = [], []
        for line in self.lines:
            places = line.curve.steps if (found := self.places(line)) is None else found
            if line.hidden or not len(places):
                continue
            first = int(np.searchsorted(places, 0, side="right")) if self.log_x else 0
            firsts.append(float(places[min(first, len(places) - 1)]))
            lasts.append(float(places[-1]))
        return (min(firsts), max(lasts)) if firsts else None

    def x_range(self) -> tuple[float, float] | None:
        """What of x is shown; None without any point."""
        own = self.reach()
        if own is None:
            return None
        first, last = self.extent or own
        if self.window is None:
            return scale.x_domain(first, last, self.axis, log=self.log_x)
        start, stop = self.window.start, self.window.stop
        if self.window.tail:
            start, stop = scale.tail_window(start, stop, last)
        if self.log_x:
            start = max(start, min(first, stop / 2), 1e-9)
        return start, max(stop, start + 1e-9)

    def reduce(self, count: int) -> tuple[Domain, list[tuple[Line, Buckets, Buckets | None]]] | None:
        """The domain, and each line that is drawn in so many columns of it: raw, and smoothed where it is."""
        x_range = self.x_range()
        if x_range is None:
            return None
        x0, x1 = x_range
        edges = Domain(x0, x1, 0, 1, log_x=self.log_x).edges(count)
        found: list[tuple[Line, Buckets, Buckets | None]] = []
        for line in self.lines:
            if line.hidden:
                continue
            places = self.places(line)
            smoothed = self.smoothed(line)
            smooth = smoothed.buckets_at(edges, places) if smoothed is not None else None
            if smooth is not None:  # where the raw value is no number is marked once
                smooth = replace(smooth, broken=np.zeros(count, np.bool_))
            found.append((line, line.curve.buckets_at(edges, places), smooth))
        y0, y1, log = self._y_range(found, x0, x1)
        domain = Domain(x0, x1, y0, y1, log, self.log_x)
        self.outside = self._count_outside(found, domain)
        return domain, found

    def _y_range(
        self, found: Sequence[tuple[Line, Buckets, Buckets | None]], x0: float, x1: float
    ) -> tuple[float, float, bool]:
        reduced = [raw for _, raw, _ in found]
        low, high = raster.bounds_of(reduced)
        if self.look.clip:
            low, high = self._percentiles(x0, x1, low, high)
        log = self.look.log_y
        if log and not low > 0:  # only what is above zero counts, where anything is
            above = raster.positive_bounds(reduced)
            log = math.isfinite(above[0])
            low, high = (above[0], max(above[0], high)) if log else (low, high)
        y0, y1 = scale.value_domain(low, high, log=log)
        if self.look.low is not None and not (log and self.look.low <= 0):
            y0 = self.look.low
        if self.look.high is not None and not (log and self.look.high <= 0):
            y1 = self.look.high
        if y1 <= y0:
            y1 = y0 * 10 if log else y0 + (abs(y0) * 0.1 or 1.0)
        return y0, y1, log

    def _between(self, line: Line, x0: float, x1: float) -> slice:
        places = line.curve.steps if (found := self.places(line)) is None else found
        return slice(int(np.searchsorted(places, x0, side="left")), int(np.searchsorted(places, x1, side="right")))

    def _percentiles(self, x0: float, x1: float, low: float, high: float) -> tuple[float, float]:
        parts = []
        for line in self.lines:
            if not line.hidden:
                values = line.curve.values[self._between(line, x0, x1)]
                values = values[:: max(1, len(values) // _SAMPLE)]
                parts.append(values[np.isfinite(values)])
        values = np.concatenate(parts) if parts else np.empty(0)
        if not len(values):
            return low, high
        first, last = np.percentile(values, CLIPPED)
        return float(first), float(last)

    def _count_outside(self, found: Sequence[tuple[Line, Buckets, Buckets | None]], domain: Domain) -> int:
        total = 0
        for line, raw, _ in found:
            with np.errstate(invalid="ignore"):
                if not ((raw.low < domain.y0).any() or (raw.high > domain.y1).any()):
                    continue
            key = (len(line.curve), domain, self.axis)
            kept = self._counts.get(line.name)
            if kept is None or kept[0] != key:
                values = line.curve.values[self._between(line, domain.x0, domain.x1)]
                with np.errstate(invalid="ignore"):
                    off = (values < domain.y0) | (values > domain.y1)
                kept = self._counts[line.name] = key, int(np.count_nonzero(off & np.isfinite(values)))
            total += kept[1]
        return total

    def layers(
        self, found: Sequence[tuple[Line, Buckets, Buckets | None]], *, letters: bool, top: str | None = None
    ) -> list[tuple[Layer, int, bool]]:
        """What is drawn, the lowest first: bands, raw curves dimmed under smoothed ones, the line called `top` last.

        Returns:
            Each layer with the number of its colour and whether it is dimmed.
        """
        bands: list[tuple[Layer, int, bool]] = []
        raws: list[tuple[Layer, int, bool]] = []
        smooths: list[tuple[Layer, int, bool]] = []
        for line, raw, smooth in sorted(found, key=lambda item: item[0].name == top):
            color = self.color(line)
            letter = letter_of(color) if letters else ""
            if line.band is not None:
                x_range = self.x_range() or (0.0, 1.0)
                edges = Domain(*x_range, 0, 1, log_x=self.log_x).edges(len(raw))
                low, high = (rim.buckets_at(edges, self.places(line)).low for rim in line.band)
                area = Buckets(low, np.fmax(low, high), np.zeros(len(raw), np.bool_))
                bands.append((Layer(area, mark=color, filled=True), color, True))
            if smooth is None:
                raws.append((Layer(raw, line.dash, letter, color), color, False))
            else:
                raws.append((Layer(raw, line.dash, "", color), color, True))
                smooths.append((Layer(smooth, line.dash, letter, color, over=True), color, False))
        return bands + raws + smooths

    def points(self, line: Line, domain: Domain) -> ShownLine:
        """A line's points within a domain, for an export."""
        part = self._between(line, domain.x0, domain.x1)
        curve, smoothed = line.curve, self.smoothed(line)
        places = curve.steps.astype(np.float64) if (found := self.places(line)) is None else found
        band = (line.band[0].values[part], line.band[1].values[part]) if line.band is not None else None
        return ShownLine(
            line.label, curve.steps[part], curve.times[part], places[part], curve.values[part],
            smoothed.values[part] if smoothed is not None else None, band,
        )  # fmt: skip

    def color(self, line: Line) -> int:
        """The number of a line's colour and mark."""
        if line.color is not None:
            return line.color
        return next(index for index, other in enumerate(self.lines) if other is line)

    def read(self, line: Line, x: float | None, slack: float = 0.0) -> Reading:
        """What a line says at a place, or at its end.

        Args:
            line: which one.
            x: the place; None for the newest point.
            slack: how far beyond the line's ends a place may lie (the width of a column).
        """
        curve = line.curve
        if not len(curve):
            return Reading()
        index = len(curve) - 1
        if x is not None:
            places = curve.steps if (found := self.places(line)) is None else found
            if x < places[0] - slack or x > places[-1] + slack:
                return Reading()
            index = min(int(np.searchsorted(places, x)), len(places) - 1)
            if index and x - float(places[index - 1]) < float(places[index]) - x:
                index -= 1
        smoothed = self.smoothed(line)
        return Reading(
            int(curve.steps[index]),
            float(curve.values[index]),
            float(smoothed.values[index]) if smoothed is not None else None,
            float(curve.times[index]) or None,
        )


def letter_of(number: int) -> str:
    """The letter that stands for a line where there are no colours."""
    return chr(ord("a") + number % 26)
