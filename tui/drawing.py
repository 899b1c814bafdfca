"""Text that is a drawing: intervals over a common scale. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from tui import format

_LEAST_PLOT = 16


@dataclass(frozen=True)
class Bar:
    """One line of an interval plot: single values, their mean and its interval."""

    label: str
    mean: float | None
    lower: float | None = None
    upper: float | None = None
    points: tuple[float, ...] = ()
    note: str = ""
    style: str = ""


def interval_plot(
    bars: Sequence[Bar], width: int, *, marks: Mapping[float, str] | None = None, ascii_only: bool = False
) -> list[Text]:
    """Bars over one scale, with the scale below. Empty where nothing can be drawn.

    Args:
        bars: one a line.
        width: cells in all.
        marks: values that get a line through all bars, with what each is: the margin, zero.
        ascii_only: no glyphs beyond ASCII.
    """
    marks = {value: text for value, text in (marks or {}).items() if math.isfinite(value)}
    given = [value for bar in bars for value in (bar.mean, bar.lower, bar.upper, *bar.points)]
    values = [value for value in given if value is not None and math.isfinite(value)]
    if not values:
        return []
    lower, upper = min([*values, *marks]), max([*values, *marks])
    spare = (upper - lower) * 0.04 or abs(upper) * 0.1 or 1.0
    lower, upper = lower - spare, upper + spare
    notes = max((cell_len(bar.note) for bar in bars), default=0)
    label_width = min(max(cell_len(bar.label) for bar in bars), max(8, width // 4))
    plot = width - label_width - 2 - (notes + 2 if notes else 0)
    if plot < _LEAST_PLOT:
        notes, plot = 0, max(_LEAST_PLOT // 2, width - label_width - 2)
    signs = "-[]*.:" if ascii_only else "─├┤●·┊"

    def at(value: float) -> int:
        return min(max(round((value - lower) / (upper - lower) * (plot - 1)), 0), plot - 1)

    lines = []
    for bar in bars:
        cells = [" "] * plot
        for mark in marks:
            cells[at(mark)] = signs[5]
        if bar.lower is not None and bar.upper is not None and math.isfinite(bar.upper - bar.lower):
            first, last = at(bar.lower), at(bar.upper)
            cells[first : last + 1] = signs[0] * (last - first + 1)
            cells[first], cells[last] = signs[1], signs[2]
            for mark in marks:  # the line goes on through the bar
                if first < at(mark) < last:
                    cells[at(mark)] = "+" if ascii_only else "┼"
        for point in bar.points:
            if math.isfinite(point) and cells[at(point)] in (" ", signs[0], signs[5]):
                cells[at(point)] = signs[4]
        if bar.mean is not None and math.isfinite(bar.mean):
            cells[at(bar.mean)] = signs[3]
        line = Text(no_wrap=True)
        line.append(f"{_cut(bar.label, label_width, ascii_only)}  ", "bold")
        line.append("".join(cells), bar.style)
        if notes:
            line.append(f"  {bar.note}", "dim")
        lines.append(line)
    scale = _scale(lower, upper, plot, [(at(value), text) for value, text in marks.items()])
    lines += [Text(" " * (label_width + 2) + text, "dim", no_wrap=True) for text in scale]
    return lines


def _scale(lower: float, upper: float, plot: int, marks: Sequence[tuple[int, str]]) -> list[str]:
    """The numbers at both ends, and below them what the marks are."""
    left, right = format.short(_rounded(lower, upper - lower)), format.short(_rounded(upper, upper - lower))
    rows = [left + " " * max(1, plot - len(left) - len(right)) + right]
    for position, text in sorted(marks):
        start = min(max(0, position - cell_len(text) // 2), max(0, plot - cell_len(text)))
        row = next((at for at in range(1, len(rows)) if cell_len(rows[at]) < start), None)
        if row is None:
            rows.append("")
            row = len(rows) - 1
        rows[row] = rows[row].ljust(start) + set_cell_size(text, min(cell_len(text), plot))
    return rows


def _rounded(value: float, span: float) -> float:
    """To two digits of the span: more would pretend."""
    if not span:
        return value
    return round(value, max(0, 2 - math.floor(math.log10(span))))


def _cut(text: str, size: int, ascii_only: bool) -> str:
    if cell_len(text) <= size:
        return text + " " * (size - cell_len(text))
    return set_cell_size(text, size - 1) + ("~" if ascii_only else "…")
