"""Curves as cells: pixel columns, braille or ASCII, nice ticks and domains that move in steps. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.store.buckets import Buckets, Curve

# The eight dots of a braille cell: bit of (row, column).
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = 0x2800
_ASCII_MARKS = ".:'", "o", "+", "x", "#", "%"


@dataclass(frozen=True)
class Domain:
    """The part of the plane that is shown; `log` is about y alone."""

    x0: float
    x1: float
    y0: float
    y1: float
    log: bool = False


@dataclass(frozen=True)
class Cells:
    """A plot as code points and the index of the layer on top in each cell (-1 where nothing is)."""

    codes: NDArray[Any]
    layers: NDArray[Any]


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


def nice_ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """Round values between two bounds; `whole` ones only where they count something."""
    step = nice_step(high - low, count)
    step = max(1.0, step) if whole else step
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


def step_domain(low: float, high: float) -> tuple[float, float]:
    """Bounds for the steps. The end moves in leaps of a tenth to a fifth, so that a live curve redraws few rows."""
    high = max(high, low + 1)
    leap = max(1.0, nice_step(high, 10))
    start = 0.0 if low <= 0.2 * high else math.floor(low / leap) * leap
    return start, max(leap, math.ceil(high / leap - 1e-9) * leap)


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


def bounds_of(reduced: list[Buckets]) -> tuple[float, float]:
    """The least and greatest value of some curves; NaN where there is none."""
    pairs = [(float(np.fmin.reduce(part.low)), float(np.fmax.reduce(part.high))) for part in reduced]
    return _widest(pairs)


def positive_bounds(curves: list[Curve]) -> tuple[float, float]:
    """The same of what is above zero."""
    above = [curve.values[np.isfinite(curve.values) & (curve.values > 0)] for curve in curves]
    return _widest([(float(values.min()), float(values.max())) for values in above if len(values)])


def _widest(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    known = [pair for pair in pairs if math.isfinite(pair[0])]
    if not known:
        return math.nan, math.nan
    return min(low for low, _ in known), max(high for _, high in known)


def rows_of(values: NDArray[Any], domain: Domain, height: int) -> NDArray[Any]:
    """The pixel row of each value, 0 at the top; NaN stays NaN, and what is outside comes to the rim."""
    low, high = domain.y0, domain.y1
    with np.errstate(divide="ignore", invalid="ignore"):
        if domain.log:
            # What has no logarithm lies below everything that has one.
            values = np.where(
                values > 0, np.log10(np.where(values > 0, values, 1.0)), np.where(values <= 0, -400, values)
            )
            low, high = math.log10(low), math.log10(high)
        rows = np.rint((high - values) / (high - low) * (height - 1))
    clipped: NDArray[Any] = np.clip(rows, 0, height - 1)
    return clipped


def draw(layers: list[Buckets], domain: Domain, width: int, height: int, *, ascii_only: bool = False) -> Cells:
    """Draw curves over one another, the last one on top.

    Args:
        layers: one curve each, reduced to `pixels(width)` columns.
        domain: what the plot spans.
        width: in cells.
        height: in cells.
        ascii_only: one point a cell column and two a cell row instead of braille's two and four.
    """
    across, down = (1, 2) if ascii_only else (2, 4)
    codes = np.zeros((height, width), np.uint32)
    tops = np.full((height, width), -1, np.int16)
    for index, layer in enumerate(layers):
        mask = _mask(layer, domain, height * down)
        if mask is None:
            continue
        if ascii_only:
            _add_ascii(codes, mask.reshape(height, down, width), index)
            hit = mask.reshape(height, down, width).any(axis=1)
        else:
            dots = mask.reshape(height, down, width, across)
            bits = np.zeros((height, width), np.uint8)
            for row in range(4):
                for column in range(2):
                    bits |= dots[:, row, :, column] * np.uint8(_DOTS[row][column])
            codes |= bits
            hit = bits > 0
        tops[hit] = index
    if not ascii_only:
        codes += np.where(codes > 0, _BRAILLE, 0).astype(np.uint32)
    codes[codes == 0] = ord(" ")
    return Cells(codes, tops)


def pixels(width: int, *, ascii_only: bool = False) -> int:
    """Pixel columns in so many cells."""
    return width if ascii_only else 2 * width


def _mask(layer: Buckets, domain: Domain, height: int) -> NDArray[Any] | None:
    """Which pixels a curve touches, its columns joined to an unbroken line."""
    known = np.flatnonzero(~np.isnan(layer.low))
    if not len(known):
        return None
    columns = np.arange(len(layer.low))
    inside = (columns >= known[0]) & (columns <= known[-1])
    top = rows_of(np.asarray(layer.high), domain, height)
    bottom = rows_of(np.asarray(layer.low), domain, height)
    if len(known) < len(layer.low):  # fewer points than columns: straight lines between them
        top = np.rint(np.interp(columns, known, top[known]))
        bottom = np.rint(np.interp(columns, known, bottom[known]))
    before_top, before_bottom = np.roll(top, 1), np.roll(bottom, 1)
    before_top[0], before_bottom[0] = top[0], bottom[0]
    joined_top = np.where(before_bottom < top, before_bottom + 1, top)
    joined_bottom = np.where(before_top > bottom, before_top - 1, bottom)
    start = known[0]
    joined_top[start], joined_bottom[start] = top[start], bottom[start]
    rows = np.arange(height)[:, None]
    mask: NDArray[Any] = (rows >= np.minimum(joined_top, top)) & (rows <= np.maximum(joined_bottom, bottom)) & inside
    return mask


def _add_ascii(codes: NDArray[Any], dots: NDArray[Any], index: int) -> None:
    upper, lower = dots[:, 0], dots[:, 1]
    mark = _ASCII_MARKS[index % len(_ASCII_MARKS)]
    if len(mark) > 1:
        low, both, high = (ord(sign) for sign in mark)
    else:
        low = both = high = ord(mark)
    codes[upper & lower] = both
    codes[upper & ~lower] = high
    codes[lower & ~upper] = low


def text_of(codes: NDArray[Any]) -> str:
    """A row of code points as text."""
    return codes.astype("<u4").tobytes().decode("utf-32-le")


def ascii_mark(index: int) -> str:
    """The sign that stands for a curve where there is no braille."""
    return _ASCII_MARKS[index % len(_ASCII_MARKS)][-1]
