"""Running robust levels: what is too much for a loss or a norm, judged by the run's own recent steps."""

from __future__ import annotations

import math

from engine.config.sections import GuardSection
from engine.train.window import SortedWindow

_QUARTILES_PER_SIGMA = 1.349
"""How many standard deviations of a normal distribution lie between its quartiles."""
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
    time. Dropped steps don't count at all. `level` is infinite before the first value and changes at `renew` only.
    """

    def __init__(self, options: GuardSection) -> None:
        self._sigmas = options.sigmas
        self.window = SortedWindow(options.window)
        self.first: float | None = None
        self.level = math.inf

    def take(self, value: float) -> None:
        """Take in the finite loss of an accepted step."""
        if self.first is None:
            self.first = value
            self.renew()
        self.window.push(value if value < self.level else self.level)

    def renew(self) -> None:
        """Take the level anew from the window."""
        if self.first is None:
            return
        if len(self.window) < min(_ENOUGH, self.window.size):
            self.level = self.first + (_EARLY_FACTOR - 1) * abs(self.first)
            return
        middle, deviation = _middle_and_deviation(self.window)
        spread = max(deviation, _LEAST_SPREAD * abs(middle), _LEAST_OF_START * abs(self.first))
        self.level = middle + self._sigmas * spread

    def restore(self, values: list[float], first: float | None) -> None:
        """Put a saved window back."""
        self.window.restore(values)
        self.first, self.level = first, math.inf
        self.renew()


class NormLevel:
    """The level above which a gradient's norm is an outlier. Norms spread by factors, so their logarithms count."""

    def __init__(self, options: GuardSection) -> None:
        self._sigmas = options.sigmas
        self.window = SortedWindow(options.window)
        """Of logarithms."""
        self.level = math.inf

    def take(self, value: float) -> None:
        """Take in the finite norm of an accepted step."""
        if value > 0:
            self.window.push(math.log(value if value < self.level else self.level))

    def renew(self) -> None:
        """Take the level anew from the window; it is infinite while that holds too few values."""
        if len(self.window) < min(_ENOUGH, self.window.size):
            self.level = math.inf
            return
        middle, deviation = _middle_and_deviation(self.window)
        exponent = middle + self._sigmas * max(deviation, _LEAST_LOG_SPREAD)
        self.level = math.exp(exponent) if exponent < 700 else math.inf

    def restore(self, values: list[float]) -> None:
        """Put a saved window back."""
        self.window.restore(values)
        self.renew()


def _middle_and_deviation(window: SortedWindow) -> tuple[float, float]:
    """Median, and the standard deviation that the quartiles speak for: a quarter of the values may be wild."""
    upper, lower = window.quantile(0.75, 0.0), window.quantile(0.25, 0.0)
    return window.quantile(0.5, 0.0), (upper - lower) / _QUARTILES_PER_SIGMA
