"""Curves as cells: pixel columns, braille or ASCII. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.late import np
from engine.store.buckets import Buckets
from tui.widgets.scale import Domain

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The eight dots of a braille cell: bit of (row, column).
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = 0x2800
_STAMP_EVERY = 20
_ASCII_MARKS = ".:'", "o", "+", "x", "#", "%"


@dataclass(frozen=True)
class Layer:
    """One curve to draw.

    `dash` is the length of its dashes in pixel columns (0 draws all), `letter` is put on it here and there, `mark` is
    its sign where there is no braille, a `filled` one is the area of a band, one `over` all has its cells for itself.
    """

    buckets: Buckets
    dash: int = 0
    letter: str = ""
    mark: int | None = None
    filled: bool = False
    over: bool = False


@dataclass(frozen=True)
class Cells:
    """A plot as code points and the index of the layer on top in each cell (-1 where nothing is)."""

    codes: NDArray[Any]
    layers: NDArray[Any]


def bounds_of(reduced: list[Buckets]) -> tuple[float, float]:
    """The least and greatest value of some curves; NaN where there is none."""
    pairs = [(float(np.fmin.reduce(part.low)), float(np.fmax.reduce(part.high))) for part in reduced]
    return _widest(pairs)


def positive_bounds(reduced: list[Buckets]) -> tuple[float, float]:
    """The same of what is above zero; of a column that also reaches below, its greatest value."""
    pairs = []
    for part in reduced:
        with np.errstate(invalid="ignore"):
            above = np.where(part.low > 0, part.low, np.where(part.high > 0, part.high, np.nan))
        pairs.append((float(np.fmin.reduce(above)), float(np.fmax.reduce(above))))
    return _widest(pairs)


def _widest(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    known = [pair for pair in pairs if math.isfinite(pair[0])]
    if not known:
        return math.nan, math.nan
    return min(low for low, _ in known), max(high for _, high in known)


def rows_of(values: NDArray[Any], domain: Domain, height: int) -> NDArray[Any]:
    """The pixel row of each value, 0 at the top; NaN stays NaN, and what is outside lies one pixel past the rim."""
    low, high = domain.y0, domain.y1
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if domain.log:
            # What has no logarithm lies below everything that has one.
            values = np.where(
                values > 0, np.log10(np.where(values > 0, values, 1.0)), np.where(values <= 0, -400, values)
            )
            low, high = math.log10(low), math.log10(high)
        # Halves, so that the distance of the greatest numbers is a number too.
        rows = np.rint((high / 2 - values / 2) / (high / 2 - low / 2) * (height - 1))
    clipped: NDArray[Any] = np.clip(rows, -1, height)
    return clipped


def draw(
    layers: Sequence[Layer | Buckets],
    domain: Domain,
    width: int,
    height: int,
    *,
    ascii_only: bool = False,
    rim: bool = True,
) -> Cells:
    """Draw curves over one another, the last one on top.

    Args:
        layers: one curve each, reduced to `pixels(width)` columns.
        domain: what the plot spans.
        width: in cells.
        height: in cells.
        ascii_only: one point a cell column and two a cell row instead of braille's two and four.
        rim: draw what lies outside the domain at its rim; else it isn't there.
    """
    down = 2 if ascii_only else 4
    codes = np.zeros((height, width), np.uint32)
    tops = np.full((height, width), -1, np.int16)
    for index, given in enumerate(layers):
        layer = given if isinstance(given, Layer) else Layer(given)
        span = _span(layer, domain, height * down, rim=rim)
        if span is None:
            continue
        if ascii_only:
            rows = np.arange(height * down, dtype=np.int16)[:, None]
            dots = ((rows >= span[0]) & (rows <= span[1])).reshape(height, down, width)
            if layer.filled:
                dots[:, 0] = False
            _add_ascii(codes, dots, index if layer.mark is None else layer.mark)
            hit = dots.any(axis=1)
        else:
            bits = _bits(*span, height)
            if layer.filled:
                bits &= _CHECKED
            hit = bits > 0
            if layer.over:  # its shape shall not drown in what lies below
                codes[hit] = bits[hit]
            else:
                codes |= bits
        if layer.filled:
            hit &= tops < 0  # a band lies under everything
        tops[hit] = index
    if not ascii_only:
        codes += np.where(codes > 0, _BRAILLE, 0).astype(np.uint32)
    codes[codes == 0] = ord(" ")
    for index, given in enumerate(layers):
        if isinstance(given, Layer) and given.letter:
            _stamp(codes, tops, index, given)
    return Cells(codes, tops)


def pixels(width: int, *, ascii_only: bool = False) -> int:
    """Pixel columns in so many cells."""
    return width if ascii_only else 2 * width


@cache
def _dots_between() -> NDArray[Any]:
    """The bits of a cell's dots from one row to before another, by column: what `_bits` looks up."""
    table = np.zeros((2, 5, 5), np.uint8)
    for column in range(2):
        for first in range(5):
            for end in range(first, 5):
                table[column, first, end] = sum(_DOTS[row][column] for row in range(first, end))
    return table


_CHECKED = _DOTS[0][0] | _DOTS[1][1] | _DOTS[2][0] | _DOTS[3][1]
"""Every second dot, for areas."""


def _bits(top: NDArray[Any], bottom: NDArray[Any], height: int) -> NDArray[Any]:
    """The dots of braille cells as their bits, from the topmost and lowest dot of each pixel column."""
    starts = np.arange(0, 4 * height, 4, dtype=np.int16)[:, None]
    first = np.clip(top - starts, 0, 4)
    end = np.clip(bottom + 1 - starts, 0, 4)
    table = _dots_between()
    return np.asarray(table[0][first[:, ::2], end[:, ::2]] | table[1][first[:, 1::2], end[:, 1::2]])


def _span(layer: Layer, domain: Domain, height: int, *, rim: bool) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """The topmost and lowest pixel of a curve in each column, the lowest above the topmost where there is none.

    Columns are joined to an unbroken line, but where a value is no number.
    """
    found = layer.buckets
    known = np.flatnonzero(~np.isnan(found.low))
    if not len(known):
        return None
    columns = np.arange(len(found.low))
    inside = (columns >= known[0]) & (columns <= known[-1])
    top = rows_of(np.asarray(found.high), domain, height)
    bottom = rows_of(np.asarray(found.low), domain, height)
    if len(known) < len(found.low):  # fewer points than columns: straight lines between them
        top = np.rint(np.interp(columns, known, top[known]))
        bottom = np.rint(np.interp(columns, known, bottom[known]))
        inside &= ~_torn(found)
    top, bottom = top.astype(np.int16), bottom.astype(np.int16)
    if rim:
        top, bottom = np.clip(top, 0, height - 1), np.clip(bottom, 0, height - 1)
    if not layer.filled:
        joined = inside.copy()
        joined[0] = False
        joined[1:] &= inside[:-1]
        before_top, before_bottom = np.roll(top, 1), np.roll(bottom, 1)
        top, bottom = (
            np.where(joined & (before_bottom < top), before_bottom + 1, top),
            np.where(joined & (before_top > bottom), before_top - 1, bottom),
        )
    if layer.dash:
        inside &= columns % (2 * layer.dash) < layer.dash
    return np.where(inside, np.maximum(top, 0), 0).astype(np.int16), np.where(inside, bottom, -1).astype(np.int16)


def _torn(found: Buckets) -> NDArray[Any]:
    """Columns that a line mustn't cross: those next to a value that is no number, with nothing else in between."""
    numbers = ~np.isnan(found.low)
    holes = found.broken & ~numbers
    if not holes.any():
        return holes
    columns = np.arange(len(numbers))
    said = numbers | holes
    before = np.maximum.accumulate(np.where(said, columns, 0))
    after = np.minimum.accumulate(np.where(said, columns, len(columns) - 1)[::-1])[::-1]
    torn: NDArray[Any] = holes[before] | holes[after]
    return torn & ~numbers


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


def _stamp(codes: NDArray[Any], tops: NDArray[Any], index: int, layer: Layer) -> None:
    """Put a curve's letter on it here and there, so that it is known without its colour."""
    width = codes.shape[1]
    start = 2 + 5 * (index % 4)
    for column in range(start, width, _STAMP_EVERY):
        rows = np.flatnonzero(tops[:, column] == index)
        if len(rows):
            codes[rows[len(rows) // 2], column] = ord(layer.letter)


def text_of(codes: NDArray[Any]) -> str:
    """A row of code points as text."""
    return codes.astype("<u4").tobytes().decode("utf-32-le")


def ascii_mark(index: int) -> str:
    """The sign that stands for a curve where there is no braille."""
    return _ASCII_MARKS[index % len(_ASCII_MARKS)][-1]
