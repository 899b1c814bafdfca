"""Which cells of a widget's rows changed: what is drawn again is what is sent, and over a slow link that is felt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip


def changed_regions(before: Sequence[Strip], after: Sequence[Strip]) -> list[Region]:
    """For each row that differs the stretch from its first to its last other cell. Rows must be as many and as long.

    Rows are compared cell by cell only where they differ; all signs are one cell wide.
    """
    regions = []
    for row, (old, new) in enumerate(zip(before, after, strict=True)):
        if old is new or old == new:
            continue
        first, last = _stretch(_cells(old), _cells(new))
        if last > first:
            regions.append(Region(first, row, last - first, 1))
    return regions


def _cells(strip: Strip) -> list[tuple[str, Style | None]]:
    return list(chain.from_iterable(((sign, segment.style) for sign in segment.text) for segment in strip))


def _stretch(old: list[tuple[str, Style | None]], new: list[tuple[str, Style | None]]) -> tuple[int, int]:
    if len(old) != len(new):  # wide signs, or another width
        return 0, max(len(old), len(new))
    first, last = 0, len(new)
    while first < last and old[first] == new[first]:
        first += 1
    while last > first and old[last - 1] == new[last - 1]:
        last -= 1
    return first, last
