"""Host figures as lines: each with its value now, its history in blocks, and its least and greatest. Pure functions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui import format
from tui.cli.terminal import safe

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#@"
_TALLEST = 4
_PAUSE_SECONDS = 45.0
"""Readings come each ten seconds; longer without one, and nothing is known."""


@dataclass(frozen=True)
class Shown:
    """One figure of a run: what it is, its history, and what bounds it (None where nothing does)."""

    group: str
    label: str
    unit: str
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    ceiling: float | None = None


def figure_lines(
    figures: Sequence[Shown], width: int, height: int, *, span: tuple[float, float], ascii_only: bool = False
) -> tuple[list[str], list[str]]:
    """The lines and how each looks.

    Args:
        figures: what there is, in order.
        width, height: cells; where there is room histories are several rows high.
        span: from when to when, in seconds since 1970.
        ascii_only: no glyphs.
    """
    if not figures:
        return [], []
    groups = list(dict.fromkeys(item.group for item in figures))
    figures = sorted(figures, key=lambda item: groups.index(item.group))
    rows = min(_TALLEST, max(1, (height - len(groups)) // max(1, len(figures))))
    label_width = min(max(len(item.label) for item in figures), max(8, width // 3))
    value_width = max(len(value(item.values[-1], item)) for item in figures)
    ends = [_range(item) for item in figures]
    end_width = max(map(len, ends)) if width >= 70 else 0
    cells = max(4, width - label_width - value_width - end_width - 6)
    lines: list[str] = []
    kinds: list[str] = []
    group = ""
    for item, end in zip(figures, ends, strict=True):
        if item.group != group:
            group = item.group
            lines.append(safe(group))
            kinds.append("head")
        drawn = history(item, cells, rows, span, ascii_only=ascii_only)
        for row, bar in enumerate(drawn):
            label = safe(item.label)[:label_width] if row == 0 else ""
            now = value(item.values[-1], item) if row == 0 else ""
            tail = f"  {end}" if row == 0 and end_width else ""
            lines.append(f"  {label:<{label_width}} {now:>{value_width}} {bar}{tail}".rstrip())
            kinds.append(_alarm(item))
    return lines, kinds


def history(item: Shown, cells: int, rows: int, span: tuple[float, float], *, ascii_only: bool = False) -> list[str]:
    """A figure's history as rows of blocks, the uppermost first: the greatest value in each column, 0 at the bottom."""
    start, stop = span
    low, high = 0.0, item.ceiling if item.ceiling else float(np.max(item.values, initial=0.0))
    heights = np.full(cells, np.nan)
    if stop > start and len(item.times):
        columns = np.clip(((item.times - start) / (stop - start) * cells).astype(int), 0, cells - 1)
        np.fmax.at(heights, columns, item.values)
        _hold(heights, (stop - start) / cells)
    shares = np.clip((heights - low) / ((high - low) or 1.0), 0.0, 1.0)
    signs = _ASCII if ascii_only else _BLOCKS
    drawn = []
    for row in range(rows - 1, -1, -1):
        line = []
        for share in shares:
            if math.isnan(share):
                line.append(" ")
                continue
            level = share * rows - row
            # What is there but next to nothing still shows, so that it can be told from what nobody measured.
            least = 1 if row == 0 else 0
            line.append(signs[max(least, min(8, round(level * 8)))])
        drawn.append("".join(line))
    return drawn


def _hold(heights: NDArray[np.float64], seconds: float) -> None:
    """Between two readings the first one stands, unless there was a pause: a new attempt, a machine asleep."""
    known = np.flatnonzero(~np.isnan(heights))
    for left, right in itertools.pairwise(known):
        if (right - left) * seconds <= max(_PAUSE_SECONDS, 2 * seconds):
            heights[left + 1 : right] = heights[left]


def value(number: float, item: Shown) -> str:
    """A figure with its unit, and its share of what bounds it."""
    if item.unit == "B":
        share = f" {100 * number / item.ceiling:3.0f} %" if item.ceiling else ""
        return f"{format.size(int(number))}{share}"
    if item.unit == "B/s":
        return f"{format.size(int(number))}/s"
    if item.unit == "%":
        return f"{number:.0f} %"
    return f"{format.number(number)} {item.unit}".rstrip()


def _range(item: Shown) -> str:
    bare = Shown(item.group, item.label, item.unit, item.times, item.values)
    return f"{value(float(np.min(item.values)), bare)} .. {value(float(np.max(item.values)), bare)}"


def _alarm(item: Shown) -> str:
    """Memory that is nearly full is worth a colour; a busy processor is what one wants."""
    full = item.ceiling and item.unit == "B" and "free" not in item.label and item.values[-1] > 0.92 * item.ceiling
    return "bad" if full else ""


def ceiling_of(name: str | None, latest: Mapping[str, float]) -> float | None:
    """What bounds a figure, by the name that its description gives."""
    if name is None:
        return None
    return float(name) if name.isdigit() else latest.get(name)
