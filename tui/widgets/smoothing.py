"""Exponential smoothing of curves that grow: each point is looked at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.store.buckets import Curve, Floats

WEIGHTS = (0.0, 0.6, 0.9, 0.97, 0.99)
"""What the keys step through; 0 is off."""

_BLOCK = 256


class Smoother:
    """The exponential mean of a curve, started without a pull towards zero. Non-finite values are passed over."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        powers = weight ** np.arange(_BLOCK + 1, dtype=np.float64)
        self._decay = powers[1:]
        rows, columns = np.indices((_BLOCK, _BLOCK))
        # Row i holds what each of the block's values adds to the mean after value i.
        self._kernel = np.where(rows >= columns, powers[np.maximum(rows - columns, 0)] * (1 - weight), 0.0)
        self._reset()

    def _reset(self) -> None:
        self._smooth: Floats = np.empty(0)
        self._length = 0
        self._mean = 0.0
        self._taken = 0
        self._last: tuple[int, float] | None = None

    def smooth(self, curve: Curve) -> Curve:
        """The smoothed curve at the same steps; NaN where the value is no number."""
        if not self._continues(curve):
            self._reset()
        start, end = self._length, len(curve)
        if end > start:
            if end > len(self._smooth):
                larger = np.empty(max(2 * len(self._smooth), end))
                larger[:start] = self._smooth[:start]
                self._smooth = larger
            self._smooth[start:end] = self._extend(curve.values[start:end])
            self._length = end
            self._last = int(curve.steps[end - 1]), float(curve.values[end - 1])
        return Curve(curve.steps, self._smooth[:end], curve.times)

    def _continues(self, curve: Curve) -> bool:
        if self._last is None:
            return True
        if len(curve) < self._length:
            return False
        step, value = int(curve.steps[self._length - 1]), float(curve.values[self._length - 1])
        return step == self._last[0] and (value == self._last[1] or value != value)

    def _extend(self, values: Floats) -> Floats:
        finite = np.isfinite(values)
        known = values[finite]
        means = np.empty(len(known))
        for begin in range(0, len(known), _BLOCK):
            block = known[begin : begin + _BLOCK]
            size = len(block)
            mixed = self._kernel[:size, :size] @ block + self._decay[:size] * self._mean
            means[begin : begin + size] = mixed
            self._mean = float(mixed[-1])
        counts = self._taken + np.arange(1, len(known) + 1)
        self._taken += len(known)
        result: NDArray[np.float64] = np.full(len(values), np.nan)
        result[finite] = means / (1 - self.weight**counts)
        return result
