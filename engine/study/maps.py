"""Figures that a run logs by two things at once, such as kind and layer, laid out as a grid: metrics to rows. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.study.results import mean


@dataclass(frozen=True)
class Grid:
    """Means over runs by row and column; NaN where nobody logged a figure."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


def grid_of(pattern: str, runs: Sequence[Mapping[str, float]]) -> Grid | None:
    """The metrics that a pattern fits as a grid; None where there are none.

    Args:
        pattern: a metric's name with two `*`: the first stands for the row, the second for the column.
        runs: each run's figures by name.
    """
    form = re.compile("(.+)".join(map(re.escape, pattern.split("*"))))
    found: dict[tuple[str, str], list[float]] = {}
    for figures in runs:
        for name, value in figures.items():
            match = form.fullmatch(name)
            if match is not None and math.isfinite(value):
                found.setdefault((match[1], match[2]), []).append(value)
    if not found:
        return None
    rows = tuple(dict.fromkeys(row for row, _ in found))
    columns = tuple(sorted({column for _, column in found}, key=_natural))
    cells = {key: mean(values) for key, values in found.items()}

    def cell(row: str, column: str) -> float:
        value = cells.get((row, column))
        return math.nan if value is None else value

    return Grid(rows, columns, tuple(tuple(cell(row, column) for column in columns) for row in rows))


def _natural(text: str) -> list[tuple[bool, int, str]]:
    """So that 10 comes after 9."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", text)]
