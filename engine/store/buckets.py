"""Curves reduced to what a screen can show: the least and greatest value in each bucket, so that no spike is lost.

Needs numpy and nothing else, and that only once there is a curve. Striding loses every one-step spike; the minimum and
maximum of each bucket keep all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.late import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    _Arrays = tuple[Floats, Floats, NDArray[np.bool_]]
else:
    Floats = Integers = Any

FACTOR = 16
PYRAMID_FROM = 200_000
"""Shorter series are reduced directly: 1e5 points take a tenth of a millisecond."""


@dataclass(frozen=True)
class Buckets:
    """Least and greatest finite value in each bucket, NaN where a bucket has none; and where non-finite ones lie."""

    low: Floats
    high: Floats
    broken: NDArray[np.bool_]
    """Buckets with a NaN or infinite value, which a chart marks instead of hiding."""

    def __len__(self) -> int:
        return len(self.low)


@dataclass(frozen=True)
class Curve:
    """A series at one moment: never changes, cheap to hand from thread to thread. `levels` hold the pyramid."""

    steps: Integers
    values: Floats
    times: Floats
    levels: tuple[tuple[Floats, Floats, NDArray[np.bool_]], ...] = ()
    broken: int = 0
    """How many of its values are NaN or infinite."""

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def last(self) -> float | None:
        """The newest value."""
        return float(self.values[-1]) if len(self.values) else None

    def buckets(self, start: float, stop: float, count: int) -> Buckets:
        """The curve between two steps in `count` buckets of equal width; `stop` itself is in the last one."""
        return reduce_columns(self.steps, self.values, start, stop, count, self.levels)

    def buckets_at(self, edges: Floats, places: Floats | None = None) -> Buckets:
        """The curve in the buckets between rising edges; the last edge itself is in the last bucket.

        Args:
            edges: their bounds, one more than buckets.
            places: where each point lies, rising; its step if not given.
        """
        begins, ends = _ranges(self.steps if places is None else places, edges)
        return _reduced(self.values, begins, ends, self.levels)


def curve(steps: Sequence[int] | Integers, values: Sequence[float] | Floats) -> Curve:
    """A curve of given points, without times."""
    growing = GrowingCurve()
    growing.extend(np.asarray(steps, np.int64), np.asarray(values, np.float64), np.zeros(len(steps)))
    return growing.snapshot()


class GrowingCurve:
    """A series that grows at its end, and its pyramid, so that each point is looked at once.

    Snapshots share memory with it: points are only ever added behind them. Start a new one when points are taken back.
    """

    def __init__(self) -> None:
        self._steps: NDArray[Any] = np.empty(256, np.int64)
        self._values: NDArray[Any] = np.empty(256, np.float64)
        self._times: NDArray[Any] = np.empty(256, np.float64)
        self._length = 0
        self._broken = 0
        self._levels: list[_Level] = []

    def __len__(self) -> int:
        return self._length

    def extend(self, steps: NDArray[Any], values: NDArray[Any], times: NDArray[Any]) -> None:
        """Take in new points; steps must go on rising."""
        start, end = self._length, self._length + len(steps)
        self._steps = _with_room(self._steps, start, end)
        self._values = _with_room(self._values, start, end)
        self._times = _with_room(self._times, start, end)
        self._steps[start:end], self._values[start:end], self._times[start:end] = steps, values, times
        self._length = end
        self._broken += len(values) - int(np.count_nonzero(np.isfinite(values)))
        if end > PYRAMID_FROM:
            self._extend_levels()

    def _extend_levels(self) -> None:
        for depth in range(_depth(self._length)):
            if depth == len(self._levels):
                self._levels.append(_Level())
            level = self._levels[depth]
            done = FACTOR * len(level)
            if depth == 0:
                level.extend(*_base(self._values[done : self._length]))
            else:
                level.extend(*(part[done:] for part in self._levels[depth - 1].view()))

    def snapshot(self) -> Curve:
        """The series as it stands."""
        end = self._length
        levels = tuple(level.view() for level in self._levels)
        return Curve(self._steps[:end], self._values[:end], self._times[:end], levels, self._broken)


class _Level:
    """One level of a pyramid: each entry stands for FACTOR entries of the level below; whole blocks only."""

    def __init__(self) -> None:
        self._low: NDArray[Any] = np.empty(256, np.float64)
        self._high: NDArray[Any] = np.empty(256, np.float64)
        self._broken: NDArray[Any] = np.empty(256, np.bool_)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def extend(self, low: NDArray[Any], high: NDArray[Any], broken: NDArray[Any]) -> None:
        """Take in what the level below has past the blocks that are here already."""
        blocks = len(low) // FACTOR
        if blocks == 0:
            return
        start, end, used = self._length, self._length + blocks, blocks * FACTOR
        self._low = _with_room(self._low, start, end)
        self._high = _with_room(self._high, start, end)
        self._broken = _with_room(self._broken, start, end)
        self._low[start:end] = np.fmin.reduce(low[:used].reshape(-1, FACTOR), axis=1)
        self._high[start:end] = np.fmax.reduce(high[:used].reshape(-1, FACTOR), axis=1)
        self._broken[start:end] = broken[:used].reshape(-1, FACTOR).any(axis=1)
        self._length = end

    def view(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        return self._low[: self._length], self._high[: self._length], self._broken[: self._length]


def _with_room(store: NDArray[Any], used: int, wanted: int) -> NDArray[Any]:
    if wanted <= len(store):
        return store
    larger = np.empty(max(wanted, 2 * len(store)), store.dtype)
    larger[:used] = store[:used]
    return larger


def _depth(length: int) -> int:
    depth = 0
    while length > PYRAMID_FROM // FACTOR:
        length //= FACTOR
        depth += 1
    return depth


def reduce_columns(
    steps: Integers,
    values: Floats,
    start: float,
    stop: float,
    count: int,
    levels: tuple[tuple[Floats, Floats, NDArray[np.bool_]], ...] = (),
) -> Buckets:
    """Least and greatest value of the points in each of `count` equal parts of the steps from `start` to `stop`."""
    begins, ends = _ranges(steps, np.linspace(start, stop, max(1, count) + 1))
    return _reduced(values, begins, ends, levels)


def _ranges(places: Integers | Floats, edges: Floats) -> tuple[Integers, Integers]:
    """Which points lie in which bucket: the first of each, and the one behind the last."""
    if places.dtype == np.int64:
        # Whole numbers, or the search would first turn all steps into floats.
        rims: NDArray[Any] = np.ceil(edges).astype(np.int64)
        last: Any = np.int64(np.floor(edges[-1]))
    else:
        rims, last = edges, edges[-1]
    begins = np.searchsorted(places, rims[:-1], side="left")
    ends = np.append(begins[1:], np.searchsorted(places, last, side="right"))
    return begins, np.maximum(ends, begins)


def _reduced(
    values: Floats, begins: Integers, ends: Integers, levels: tuple[tuple[Floats, Floats, NDArray[np.bool_]], ...]
) -> Buckets:
    finite_levels = [_base(values), *levels] if not levels else [None, *levels]
    low, high, broken = _reduce(values, finite_levels, 0, begins, ends)
    return Buckets(low, high, broken)


def _base(values: Floats) -> _Arrays:
    broken = ~np.isfinite(values)
    finite = np.where(broken, np.nan, values) if broken.any() else values
    return finite, finite, broken


def _reduce(values: Floats, levels: list[Any], depth: int, begins: Integers, ends: Integers) -> _Arrays:
    """Reduce index ranges, taking whole blocks from the level above and only the rims from this one."""
    if depth + 1 >= len(levels):
        return _reduce_ranges(levels[depth], begins, ends)
    covered = len(levels[depth + 1][0])
    first = np.minimum(-(-begins // FACTOR), covered)
    last = np.maximum(np.minimum(ends // FACTOR, covered), first)
    inner = _reduce(values, levels, depth + 1, first, last)
    # The left rims; and what lies past the last whole block, or the rest of a range that holds none.
    left, right = np.minimum(first * FACTOR, ends), np.maximum(begins, last * FACTOR)
    rims = _rim(values, levels, depth, np.concatenate([begins, right]), np.concatenate([left, ends]))
    count = len(begins)
    low, high, broken = rims
    return (
        np.fmin(np.fmin(low[:count], low[count:]), inner[0]),
        np.fmax(np.fmax(high[:count], high[count:]), inner[1]),
        broken[:count] | broken[count:] | inner[2],
    )


def _rim(values: Floats, levels: list[Any], depth: int, begins: Integers, ends: Integers) -> _Arrays:
    """Reduce short ranges, gathering them so that the cost doesn't depend on the length of the series."""
    lengths = np.maximum(ends - begins, 0)
    stops = np.cumsum(lengths)
    total = int(stops[-1]) if len(stops) else 0
    if total == 0:
        nothing = np.full(len(begins), np.nan)
        return nothing, nothing, np.zeros(len(begins), np.bool_)
    offsets = stops - lengths
    indices = np.arange(total) + np.repeat(begins - offsets, lengths)
    arrays = _base(values[indices]) if depth == 0 else tuple(part[indices] for part in levels[depth])
    return _reduce_ranges(arrays, offsets, stops)


def _reduce_ranges(arrays: Any, begins: Integers, ends: Integers) -> _Arrays:
    """Least, greatest and broken over array[begin:end] of ranges in rising order; NaN where nothing is in one."""
    low, high = np.full(len(begins), np.nan), np.full(len(begins), np.nan)
    broken = np.zeros(len(begins), np.bool_)
    filled = np.flatnonzero(ends > begins)
    if len(filled):
        # reduceat wants one list of bounds: begin, end, begin, end; what lies between two ranges is left out after.
        bounds = np.empty(2 * len(filled), np.int64)
        bounds[::2], bounds[1::2] = begins[filled], ends[filled]
        if bounds[-1] == len(arrays[0]):
            bounds = bounds[:-1]
        low[filled] = np.fmin.reduceat(arrays[0], bounds)[::2]
        high[filled] = np.fmax.reduceat(arrays[1], bounds)[::2]
        broken[filled] = np.logical_or.reduceat(arrays[2], bounds)[::2]
    return low, high, broken
