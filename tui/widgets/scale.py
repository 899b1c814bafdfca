"""Axes of charts: round bounds that move in leaps, ticks, and their labels. Pure functions."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.late import np
from tui import format

if TYPE_CHECKING:
    from numpy.typing import NDArray

Axis = Literal["step", "epoch", "elapsed", "time"]
AXES: tuple[Axis, ...] = ("step", "epoch", "elapsed", "time")
AXIS_NAMES: dict[str, str] = {"step": "step", "epoch": "epoch", "elapsed": "time trained", "time": "clock"}
"""What the axes are called on the screen; time trained leaves pauses between attempts out."""

_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_LOG_X_DECADES = 6


@dataclass(frozen=True)
class Domain:
    """The part of the plane that is shown; `log` is about y, `log_x` about x."""

    x0: float
    x1: float
    y0: float
    y1: float
    log: bool = False
    log_x: bool = False

    def edges(self, count: int) -> NDArray[np.float64]:
        """The bounds of so many pixel columns."""
        if self.log_x:
            return np.geomspace(self.x0, self.x1, count + 1)
        return np.linspace(self.x0, self.x1, count + 1)

    def share(self, x: float) -> float:
        """Where along the axis a place lies, from 0 to 1; beyond them outside."""
        if self.log_x:
            return math.log(max(x, 1e-300) / self.x0) / math.log(self.x1 / self.x0)
        return (x - self.x0) / (self.x1 - self.x0)

    def place(self, share: float) -> float:
        """The inverse of `share`."""
        if self.log_x:
            return float(self.x0 * (self.x1 / self.x0) ** share)
        return self.x0 + share * (self.x1 - self.x0)


def nice_step(span: float, count: int) -> float:
    """The step of 1, 2 or 5 times a power of ten that cuts a span into at most about `count` parts."""
    if not math.isfinite(span) or span <= 0:
        return 1.0
    rough = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1, 2, 5, 10):
        if rough <= factor * power * 1.000001:
            return factor * power
    return 10 * power


def time_step(span: float, count: int) -> float:
    """The same for seconds: whole seconds, minutes, quarters of hours, hours, days."""
    rough = span / max(1, count)
    if rough < 1 or rough > _TIME_STEPS[-1]:
        unit = 1.0 if rough < 1 else 86400.0
        return unit * nice_step(span / unit, count)
    return float(next(step for step in _TIME_STEPS if rough <= step * 1.000001))


def nice_ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """Round values between two bounds; `whole` ones only where they count something."""
    step = nice_step(high - low, count)
    return _multiples(low, high, max(1.0, step) if whole else step)


def _multiples(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, min(last, first + 100) + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Powers of ten between two bounds; with 2 and 5 times them where there is room."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    factors = (1, 2, 5) if 3 * (last - first) <= max(count, 3) else (1,)
    stride = max(1, math.ceil((last - first + 1) / max(1, count)))
    powers = range(first, last + 1, stride)
    values = [factor * 10.0**power for power in powers for factor in factors]
    return [value for value in values if low * 0.999999 <= value <= high * 1.000001]


def x_ticks(domain: Domain, count: int, axis: str) -> list[tuple[float, str]]:
    """Places on the x axis and their labels."""
    if domain.log_x:
        name = format.duration if axis == "elapsed" and domain.x0 >= 1 else format.short
        return [(tick, name(tick)) for tick in log_ticks(domain.x0, domain.x1, count)]
    if axis == "elapsed":
        step = time_step(domain.x1 - domain.x0, count)
        return [(tick, _span(tick, step)) for tick in _multiples(domain.x0, domain.x1, step)]
    if axis == "time":
        return _clock_ticks(domain, count)
    ticks = nice_ticks(domain.x0, domain.x1, count, whole=axis == "step")
    return [(tick, format.short(tick)) for tick in ticks]


def _span(seconds: float, step: float) -> str:
    return f"{seconds:.3g}s" if step < 1 else format.duration(seconds) if seconds >= 1 else "0"


def _clock_ticks(domain: Domain, count: int) -> list[tuple[float, str]]:
    """Round times of the day where the viewer is; the date where days are passed over."""
    step = max(1.0, time_step(domain.x1 - domain.x0, max(1, count // 2 if domain.x1 - domain.x0 > 86400 else count)))
    offset = float(time.localtime(domain.x0).tm_gmtoff)
    pattern = "%H:%M:%S" if step < 60 else "%H:%M" if domain.x1 - domain.x0 <= 86400 else "%m-%d %H:%M"
    if step >= 86400:
        pattern = "%m-%d"
    ticks = [tick - offset for tick in _multiples(domain.x0 + offset, domain.x1 + offset, step)]
    return [(tick, time.strftime(pattern, time.localtime(tick))) for tick in ticks]


def x_domain(low: float, high: float, axis: str = "step", *, log: bool = False) -> tuple[float, float]:
    """Bounds for x. The end moves in leaps of a tenth to a fifth, so that a live curve redraws few rows.

    Args:
        low: the first place of all curves; with `log` the first above zero.
        high: the last place.
        axis: what the places are.
        log: whether the axis is logarithmic.
    """
    if axis == "time":
        leap = time_step(max(high - low, 10.0), 8)
        start = math.floor(low / leap) * leap
        return start, max(start + leap, math.ceil(high / leap - 1e-9) * leap)
    least = 1.0 if axis == "step" else 1e-3
    high = max(high, low + least)
    leap = nice_step(high, 10)
    leap = max(1.0, leap) if axis == "step" else leap
    end = max(leap, math.ceil(high / leap - 1e-9) * leap)
    if log:
        return max(low, end / 10.0**_LOG_X_DECADES, 1e-6), end
    return (0.0 if low <= 0.2 * high else math.floor(low / leap) * leap), end


def tail_window(start: float, stop: float, last: float) -> tuple[float, float]:
    """A window that keeps the newest point in view; it moves on in leaps of a quarter of its width."""
    width = stop - start
    leaps = math.ceil((last - stop) / (width / 4) - 1e-9) if last > stop else 0
    return start + leaps * width / 4, stop + leaps * width / 4


def value_domain(low: float, high: float, *, log: bool) -> tuple[float, float]:
    """Round bounds around the values; any bounds where there are none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return (0.1, 1.0) if log else (0.0, 1.0)
    if log:
        return _log_floor(low), max(_log_ceiling(high), _log_floor(low) * 2)
    if high - low <= abs(high) * 1e-9:
        margin = abs(high) * 0.1 or 1.0
        low, high = low - margin, high + margin
    step = nice_step(high - low, 6)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _log_floor(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= value * 1.000001)


def _log_ceiling(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return min(factor * power for factor in (1, 2, 5, 10) if factor * power >= value * 0.999999)
