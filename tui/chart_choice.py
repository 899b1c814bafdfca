"""Which charts a grid shows and in what order: pinned, moved, hidden, filtered. Pure functions over names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from tui.run_curves import group_of

CELL_WIDTH, CELL_HEIGHT = 38, 9
"""A chart that is read without effort."""
MOST_BESIDE = 9


@dataclass(frozen=True)
class Choice:
    """What the viewer chose of the charts; names of groups."""

    pinned: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    order: tuple[str, ...] = ()
    filter: str = ""

    def arrange(self, groups: Sequence[str], metrics: Iterable[str] = ()) -> list[str]:
        """The charts to show: pinned ones first, then as they were moved, then by name.

        Args:
            groups: all there are.
            metrics: all names of metrics, so that `val/` finds the charts that hold such.
        """
        names: dict[str, list[str]] = {group: [group.lower()] for group in groups}
        for metric in metrics if self.filter else ():
            names.setdefault(group_of(metric), []).append(metric.lower())
        found = [group for group in groups if group not in self.hidden and self._fits(names[group])]
        places = {group: place for place, group in enumerate(self.order)}
        pins = {group: place for place, group in enumerate(self.pinned)}
        # What isn't in the order (it came later) stays behind what is.
        return sorted(found, key=lambda group: (pins.get(group, len(pins)), places.get(group, len(places))))

    def _fits(self, names: list[str]) -> bool:
        return all(any(_matches(name, word) for name in names) for word in self.filter.lower().split())

    def toggle_pin(self, group: str) -> Choice:
        """Pin a chart to the front, or let it go."""
        kept = tuple(name for name in self.pinned if name != group)
        return replace(self, pinned=kept if group in self.pinned else (*self.pinned, group))

    def move(self, group: str, direction: int, shown: Sequence[str]) -> Choice:
        """Move a chart one place forward or back among those shown; pinned ones move among themselves."""
        names = list(shown)
        at = names.index(group)
        to = at + direction
        if not 0 <= to < len(names) or (names[to] in self.pinned) != (group in self.pinned):
            return self
        names[at], names[to] = names[to], names[at]
        if group in self.pinned:
            return replace(self, pinned=tuple(name for name in names if name in self.pinned))
        rest = [name for name in self.order if name not in names]
        return replace(self, order=(*names, *rest))


def _matches(name: str, word: str) -> bool:
    return fnmatchcase(name, word) if set(word) & set("*?[") else word in name


def grid_shape(width: int, height: int, charts: int, columns: int = 0, rows: int = 0) -> tuple[int, int]:
    """Columns and rows of a page of charts.

    Args:
        width: of the room, in cells.
        height: of the room.
        charts: how many there are to show.
        columns: as the viewer wants it; 0 for as many as fit well.
        rows: likewise.
    """
    fit_columns, fit_rows = max(1, width // CELL_WIDTH), max(1, height // CELL_HEIGHT)
    # Narrower than that no chart says anything.
    across = min(columns or min(fit_columns, 4), max(1, width // 14), MOST_BESIDE)
    down = min(rows or min(fit_rows, 5), max(1, height // 4), MOST_BESIDE)
    if not columns:
        across = min(across, max(1, charts))
        if not rows and charts < across * down:  # few charts: as square as they get
            across = min(across, max(1, math.ceil(math.sqrt(charts * across / down))))
    if not rows:
        down = min(down, max(1, -(-charts // across)))
    return across, down


def parse_limits(text: str) -> tuple[float | None, float | None]:
    """Limits of an axis as people type them: `0 2`, `..2`, `0.1..`, nothing for free ones.

    Raises:
        ValueError: with the sentence to show.
    """
    text = text.strip().replace(",", " ")
    if not text:
        return None, None
    parts = text.split("..") if ".." in text else text.split()
    if len(parts) != 2:
        raise ValueError("two numbers, as `0 2`; `..2` or `0.1..` leave one end free, nothing both")
    low, high = (_limit(part) for part in parts)
    if low is not None and high is not None and not low < high:
        raise ValueError(f"{low:g} isn't below {high:g}")
    return low, high


def _limit(text: str) -> float | None:
    text = text.strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"`{text}` is no number") from None
    if not math.isfinite(value):
        raise ValueError(f"`{text}` is no limit")
    return value


def names_in(text: str) -> tuple[str, ...]:
    """Names out of the kept view, one a line."""
    return tuple(line for line in text.split("\n") if line)


def limits_in(text: str) -> dict[str, tuple[float | None, float | None]]:
    """Limits by group out of the kept view; what makes no sense is left out."""
    found = {}
    for line in text.split("\n"):
        name, _, rest = line.partition("\t")
        try:
            limits = parse_limits(rest.replace("\t", ".."))
        except ValueError:
            continue
        if name and limits != (None, None):
            found[name] = limits
    return found


def limits_out(limits: dict[str, tuple[float | None, float | None]]) -> str:
    """The same as text."""
    return "\n".join(
        f"{name}\t{'' if low is None else repr(low)}\t{'' if high is None else repr(high)}"
        for name, (low, high) in limits.items()
    )
