"""A sliding window that always knows its quantiles: microseconds a step where sorting anew takes a hundred."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque


class SortedWindow:
    """The newest values, also in order of size.

    Args:
        size: how many; 0 keeps none.
    """

    def __init__(self, size: int) -> None:
        self._newest: deque[float] = deque(maxlen=size)
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._newest)

    @property
    def size(self) -> int:
        """How many values there is room for."""
        return self._newest.maxlen or 0

    def quantile(self, share: float, empty: float) -> float:
        """The quantile between the two nearest values, or `empty` without values."""
        if not self._sorted:
            return empty
        place = share * (len(self._sorted) - 1)
        below = int(place)
        above = min(below + 1, len(self._sorted) - 1)
        return self._sorted[below] + (place - below) * (self._sorted[above] - self._sorted[below])

    def push(self, value: float) -> None:
        """Take in a value; the oldest leaves where there is no room."""
        if len(self._newest) == self._newest.maxlen:
            del self._sorted[bisect_left(self._sorted, self._newest[0])]
        self._newest.append(value)
        insort(self._sorted, value)

    def values(self) -> list[float]:
        """All values, oldest first."""
        return list(self._newest)

    def restore(self, values: list[float]) -> None:
        """Put values back; under another size the newest are kept."""
        self._newest.clear()
        self._sorted.clear()
        for value in values if self._newest.maxlen else ():
            self.push(value)
