"""A curve of a few rows of text, in braille dots or plain characters. Pure; no numpy, whose import takes a while."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_LOG_FROM = 20.0


@dataclass(frozen=True)
class Chart:
    """Rows of text from top to bottom, and the values at the upper and lower edge."""

    rows: list[str]
    low: float | None
    high: float | None
    logarithmic: bool = False


def chart(values: Sequence[float], width: int, height: int, *, ascii_only: bool = False) -> Chart:
    """Draw values at even distances; each dot column is the mean of its share of them. Non-finite ones are left out.

    The scale is logarithmic where all values are positive and the greatest is 20 times the least.
    """
    dots_across, dots_up = (width, height) if ascii_only else (2 * width, 4 * height)
    means = _means(values, dots_across)
    finite = [value for value in means if value is not None]
    if not finite or width < 1 or height < 1:
        return Chart([" " * max(0, width)] * max(0, height), None, None)
    low, high = min(finite), max(finite)
    logarithmic = low > 0 and high / low > _LOG_FROM
    # Halves of the greatest numbers, so that their distance is a number too.
    scale = math.log if logarithmic else (lambda value: value / 2)
    bottom, span = scale(low), scale(high) - scale(low)
    levels = [
        None if value is None else round((scale(value) - bottom) / span * (dots_up - 1)) if span > 0 else dots_up // 2
        for value in means
    ]
    rows = _plain(levels, width, height) if ascii_only else _braille(levels, width, height)
    return Chart(rows, low, high, logarithmic)


def _means(values: Sequence[float], bins: int) -> list[float | None]:
    """One value a dot column; few values are spread over the columns."""
    count = len(values)
    found: list[float | None] = []
    for index in range(bins):
        start = index * count // bins
        part = [value for value in values[start : max(start + 1, (index + 1) * count // bins)] if math.isfinite(value)]
        found.append(sum(value / len(part) for value in part) if part else None)
    return found


def _braille(levels: Sequence[int | None], width: int, height: int) -> list[str]:
    grid = [[0] * width for _ in range(height)]
    before: int | None = None
    for across, level in enumerate(levels):
        if level is None:
            before = None
            continue
        # Join to the column before, so that a steep fall stays one line.
        reach = range(level, level + 1) if before is None else range(min(level, before), max(level, before) + 1)
        for up in reach:
            from_top = 4 * height - 1 - up
            grid[from_top // 4][across // 2] |= _DOTS[across % 2][from_top % 4]
        before = level
    return ["".join(chr(0x2800 + dots) for dots in row) for row in grid]


def _plain(levels: Sequence[int | None], width: int, height: int) -> list[str]:
    grid = [[" "] * width for _ in range(height)]
    for across, level in enumerate(levels):
        if level is not None:
            grid[height - 1 - level][across] = "*"
    return ["".join(row) for row in grid]
