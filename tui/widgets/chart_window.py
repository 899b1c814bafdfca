"""Where zooming and panning lead: the part of the x axis that all charts of a grid show. Pure functions."""

from __future__ import annotations

import math
from typing import Any

from tui.run_curves import ChartsView
from tui.widgets import scale
from tui.widgets.plot import Window
from tui.widgets.scale import Axis, Domain

ZOOM, WHEEL = 2.0, 1.25
"""How much closer one key and one turn of the wheel lead."""
_LEAST_STEPS = 4.0

Extent = tuple[float, float]
"""The first and the last place of all curves on an axis."""


def extent_of(view: ChartsView, axis: Axis, *, log: bool) -> Extent | None:
    """From where to where all curves reach, so that all charts have one x axis; None while there is no point.

    Args:
        view: the curves.
        axis: which axis; where one curve lacks it, steps are taken for all.
        log: whether the axis is logarithmic: then from the first place above zero.
    """
    firsts, lasts = [], []
    lacking = axis != "step" and any(
        name not in run.places for run in view.runs for name, found in run.curves.items() if len(found)
    )
    for run in view.runs:
        for name, found in run.curves.items():
            if not len(found):
                continue
            places: Any = found.steps if axis == "step" or lacking else run.places[name]
            first = min(int(places.searchsorted(0, side="right")), len(places) - 1) if log else 0
            firsts.append(float(places[first]))
            lasts.append(float(places[-1]))
    return (min(firsts), max(lasts)) if firsts else None


def zoomed(
    domain: Domain, extent: Extent, direction: int, *, axis: Axis, at: float | None, follows: bool, factor: float = ZOOM
) -> Extent | None:
    """The part that is shown after zooming; None where it would be closer than points lie.

    Args:
        domain: what is shown now.
        extent: from where to where curves reach.
        direction: 1 for closer, -1 for farther.
        axis: which axis it is.
        at: the place that stays where it is.
        follows: without one, whether the end of the curves stays; else the middle does.
        factor: how much.
    """
    around = at
    if around is None:
        around = min(extent[1], domain.x1) if follows else domain.place(0.5)
    share = min(max(domain.share(around), 0.0), 1.0)
    size = 1 / factor if direction > 0 else factor
    start, stop = domain.place(share * (1 - size)), domain.place(share + (1 - share) * size)
    if direction > 0 and axis == "step" and stop - start < _LEAST_STEPS:
        return None
    return start, stop


def window_within(extent: Extent, start: float, stop: float, *, axis: Axis, log: bool) -> Window | None:
    """The window for a wished part of the axis: as wide as wished, inside of what there is; None for all of it."""
    first, last = scale.x_domain(*extent, axis, log=log)
    if not log:  # keep the width, stay inside
        width = stop - start
        if width < last - first:
            start = min(max(start, first), last - width)
            stop = start + width
    if start <= first and stop >= last:
        return None
    start, stop = max(start, first), min(stop, last)
    return Window(start, stop, tail=stop >= extent[1])


def with_tail(window: Window | None, domain: Domain, extent: Extent | None) -> Extent | Window:
    """Following the newest points turned on or off: a part to show, or a window as it is."""
    if window is None:  # the last quarter, following
        return domain.place(0.75), domain.place(1.0)
    if window.tail:
        return Window(domain.x0, domain.x1)
    width, last = window.stop - window.start, extent[1] if extent else 0.0
    return Window(*scale.tail_window(last - width, last, last), tail=True)


def is_finite(part: Extent) -> bool:
    """Whether both ends of a part are numbers that can be shown."""
    return all(math.isfinite(place) for place in part)
