"""Running robust levels: what is too much for a loss or a norm, judged by the run's own recent steps."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

from engine.config.sections import GuardSection

_TO_SIGMA = 1.4826
"""Times the median absolute deviation this estimates a normal distribution's standard deviation."""
_ENOUGH = 16
"""Values from which on a spread can be told."""
_LEAST_SPREAD = 0.05
"""Of the median: losses that barely vary are no reason to call a tenth more an explosion."""
_LEAST_OF_START = 0.02
"""Of the first loss: a loss that has become tiny may well jump among tiny values."""
_EARLY_FACTOR = 4.0
"""While there are too few values, a loss is too much at so many times the first."""
_LEAST_LOG_SPREAD = 0.2


class LossLevel:
    """The level above which a loss explodes: running median and `sigmas` robust deviations.

    Values above the level count as the level, so that an explosion doesn't raise it, but a lasting change does in
    time. Dropped steps don't count at all.
    """

    def __init__(self, options: GuardSection) -> None:
        self._sigmas = options.sigmas
        self.values: deque[float] = deque(maxlen=options.window)
        self.first: float | None = None
        self.level: float | None = None

    def take(self, value: float) -> None:
        """Take in the loss of an accepted step; the level changes at the next `renew` only."""
        if self.first is None:
            self.first = value
            self.renew()
        self.values.append(value if self.level is None else min(value, self.level))

    def renew(self) -> None:
        """Take the level anew from the window."""
        if self.first is None:
            return
        if len(self.values) < min(_ENOUGH, self.values.maxlen or 0):
            self.level = self.first + (_EARLY_FACTOR - 1) * abs(self.first)
            return
        middle, deviation = _median_and_deviation(self.values)
        spread = max(_TO_SIGMA * deviation, _LEAST_SPREAD * abs(middle), _LEAST_OF_START * abs(self.first))
        self.level = middle + self._sigmas * spread

    def restore(self, values: list[float], first: float | None) -> None:
        """Put a saved window back; under another window size the newest values are kept."""
        self.values.clear()
        self.values.extend(values)
        self.first = first
        self.level = None
        self.renew()


class NormLevel:
    """The level above which a gradient's norm is an outlier. Norms spread by factors, so their logarithms count."""

    def __init__(self, options: GuardSection) -> None:
        self._sigmas = options.sigmas
        self.values: deque[float] = deque(maxlen=options.window)
        self.level: float | None = None

    def take(self, value: float) -> None:
        """Take in the norm of an accepted step."""
        if value > 0:
            self.values.append(value if self.level is None else min(value, self.level))

    def renew(self) -> None:
        """Take the level anew from the window; there is none while it holds too few values."""
        if len(self.values) < min(_ENOUGH, self.values.maxlen or 0):
            self.level = None
            return
        middle, deviation = _median_and_deviation([math.log(value) for value in self.values])
        exponent = middle + self._sigmas * max(_TO_SIGMA * deviation, _LEAST_LOG_SPREAD)
        self.level = math.exp(exponent) if exponent < 700 else math.inf

    def restore(self, values: list[float]) -> None:
        """Put a saved window back."""
        self.values.clear()
        self.values.extend(values)
        self.renew()


def _median_and_deviation(values: deque[float] | list[float]) -> tuple[float, float]:
    middle = median(values)
    return middle, median([abs(value - middle) for value in values])
