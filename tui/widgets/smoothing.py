"""Exponential smoothing of curves that grow: each point is looked at once."""

from __future__ import annotations

import math

from engine.late import np
from engine.store.buckets import Curve, Floats, GrowingCurve, Integers

WEIGHTS = (0.0, 0.6, 0.9, 0.97, 0.99)
"""What the keys step through; 0 is off."""

_SMALLEST = 1e-60
"""Within a block no weight falls below it, so that dividing by it stays exact."""
_BLOCK, _LEAST_BLOCK = 256, 16
_SAMPLE = 4096


def nearest_weight(weight: float, direction: int) -> float:
    """The weight that a key leads to from another one: 1 smooths more, -1 less."""
    nearest = min(WEIGHTS, key=lambda known: abs(known - weight))
    return WEIGHTS[min(max(WEIGHTS.index(nearest) + direction, 0), len(WEIGHTS) - 1)]


class Smoother:
    """The exponential mean of a curve, started without a pull towards zero. Non-finite values are passed over.

    The weight is that of one point after a usual distance in steps; after k such distances what came before weighs
    weight^k. So points at even distances get the plain exponential mean, while validation every 500 steps beside
    training at each step, or what comes after a gap, isn't mixed with what is long past.

    Args:
        weight: from 0 to below 1.
        unit: the usual distance in steps.
    """

    def __init__(self, weight: float, unit: float = 1.0) -> None:
        self.weight = weight
        self.unit = unit
        self._reset()

    def _reset(self) -> None:
        self._smooth = GrowingCurve()
        self._mean = 0.0
        self._known = 0.0
        self._step: int | None = None
        self._last: tuple[int, float] | None = None

    def smooth(self, curve: Curve) -> Curve:
        """The smoothed curve at the same steps; NaN where the value is no number."""
        if not self._continues(curve):
            self._reset()
        start, end = len(self._smooth), len(curve)
        if end > start:
            steps = curve.steps[start:end]
            self._smooth.extend(steps, self._extend(steps, curve.values[start:end]), curve.times[start:end])
            self._last = int(curve.steps[end - 1]), float(curve.values[end - 1])
        return self._smooth.snapshot()

    def _continues(self, curve: Curve) -> bool:
        if self._last is None:
            return True
        length = len(self._smooth)
        if len(curve) < length:
            return False
        step, value = int(curve.steps[length - 1]), float(curve.values[length - 1])
        return step == self._last[0] and (value == self._last[1] or value != value)

    def _extend(self, steps: Integers, values: Floats) -> Floats:
        result = np.full(len(values), np.nan)
        finite = np.isfinite(values)
        if not finite.any():
            return result
        places, known = steps[finite], values[finite]
        before = places[0] - self.unit if self._step is None else self._step
        gaps = np.diff(places, prepend=before) / self.unit
        self._step = int(places[-1])
        decays = self.weight**gaps
        reach = math.log(_SMALLEST) / math.log(self.weight)
        ends = np.cumsum(gaps)
        means, begin = np.empty(len(known)), 0
        width = min(_BLOCK, int(reach / float(gaps.max())))
        if width >= _LEAST_BLOCK:  # as nearly always: all blocks at once
            rows = len(known) // width
            begin = rows * width
            blocks = (part[:begin].reshape(rows, width) for part in (known, decays, ends))
            means[:begin] = self._blocks(*blocks).reshape(-1)
        while begin < len(known):
            end = max(begin + 1, int(np.searchsorted(ends, ends[begin] + reach, side="right")))
            block = slice(begin, end)
            means[block] = self._blocks(known[None, block], decays[None, block], ends[None, block])[0]
            begin = end
        result[finite] = means
        return result

    def _blocks(self, values: Floats, decays: Floats, ends: Floats) -> Floats:
        """The mean after each value; the sum of weights goes along with it, so that the start has no pull to zero.

        Args:
            values: a block a row, within which no weight falls below the smallest.
            decays: what is left of what came before each value.
            ends: how far along each value lies, in usual distances.
        """
        if not values.size:
            return values
        shrunk = self.weight ** (ends - ends[:, :1])
        scale = float(np.abs(values).max()) or 1.0
        shares = (1 - decays) / shrunk
        weights, sums = np.cumsum(shares, axis=1), np.cumsum(shares * (values / scale), axis=1)
        carried = np.empty((len(values), 2))
        mean, known = self._mean / scale, self._known
        rims = zip(decays[:, 0].tolist(), shrunk[:, -1].tolist(), sums[:, -1].tolist(), weights[:, -1].tolist(),
                   strict=True)  # fmt: skip
        for row, (first, last, total, weight) in enumerate(rims):
            mean, known = first * mean, first * known
            carried[row] = mean, known
            mean, known = last * (mean + total), last * (known + weight)
        self._mean, self._known = mean * scale, known
        means: Floats = (sums + carried[:, :1]) / (weights + carried[:, 1:]) * scale
        return means


def usual_distance(curves: list[Curve]) -> float:
    """The steps between neighbouring points of the curve that is densest; 1 where nothing tells."""
    found = []
    for curve in curves:
        steps = curve.steps[-_SAMPLE:]
        if len(steps) > 1:
            found.append(float(np.median(np.diff(steps))))
    return max(1.0, min(found)) if found else 1.0
