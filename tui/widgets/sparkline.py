"""A curve in a few cells of one line, least and greatest value of each pixel column drawn."""

from __future__ import annotations

from engine.late import np
from engine.store.buckets import Buckets, Curve
from tui.widgets.raster import draw, text_of
from tui.widgets.scale import Domain

_LEVELS = "_.-~^"


def spark_buckets(curve: Curve, cells: int) -> Buckets:
    """A whole curve reduced to what a sparkline of so many cells shows: two pixel columns a cell."""
    steps = curve.steps
    if not len(steps):
        nothing = np.full(2 * cells, np.nan)
        return Buckets(nothing, nothing, np.zeros(2 * cells, np.bool_))
    return curve.buckets(float(steps[0]), float(steps[-1]), 2 * cells)


def sparkline(buckets: Buckets, *, ascii_only: bool = False) -> str:
    """The cells of a sparkline; blank where nothing is known yet."""
    cells = len(buckets) // 2
    if cells == 0 or np.isnan(buckets.low).all():
        return " " * cells
    # One spike shall not flatten all the rest: it goes to the rim, which is all that four dots can say of it.
    low, high = float(np.nanpercentile(buckets.low, 2)), float(np.nanpercentile(buckets.high, 96))
    if high <= low:
        high = low + 1
    if ascii_only:
        return _ascii(buckets, cells, low, high)
    return text_of(draw([buckets], Domain(0, 1, low, high), cells, 1).codes[0])


def _ascii(buckets: Buckets, cells: int, low: float, high: float) -> str:
    """Levels of one line; a cell that holds a spike shows the spike, as `!`."""
    signs = []
    lows, highs = buckets.low.reshape(cells, 2), buckets.high.reshape(cells, 2)
    for lower, upper in zip(lows, highs, strict=True):
        if np.isnan(lower).all():
            signs.append(" ")
            continue
        bottom, top = float(np.nanmin(lower)), float(np.nanmax(upper))
        if top - bottom > 0.6 * (high - low):
            signs.append("!")
            continue
        level = max(0.0, ((top + bottom) / 2 - low) / (high - low))
        signs.append(_LEVELS[min(len(_LEVELS) - 1, int(level * len(_LEVELS)))])
    return "".join(signs)
