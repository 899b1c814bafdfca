"""The statistics of a study: intervals, tests and sample sizes for paired differences over seeds. scipy does the sums.

Everything here is a pure function of a few numbers. Differences are oriented before they come here: positive is better.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
POWER = 0.8
BOOTSTRAP_FROM = 10
"""Fewer values than this give a bootstrap too little to draw from."""
_EXACT_FLIPS = 20
_DRAWS = 20_000
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a mean."""

    lower: float
    upper: float
    confidence: float = CONFIDENCE


@dataclass(frozen=True)
class SignFlip:
    """A sign-flip test: its two-sided p, and the smallest p that so many values could reach at all."""

    p: float
    smallest: float
    exact: bool


@dataclass(frozen=True)
class Sample:
    """What one arm's values over seeds say: `deviation` is the sample's (n - 1), the interval Student's t."""

    values: tuple[float, ...]
    mean: float
    deviation: float | None
    interval: Interval | None


def describe(values: Sequence[float], confidence: float = CONFIDENCE) -> Sample:
    """Mean, deviation and t interval of an arm; deviation and interval need two values."""
    several = len(values) > 1
    return Sample(
        values=tuple(float(value) for value in values),
        mean=math.fsum(values) / len(values) if len(values) else math.nan,
        deviation=_mean_and_deviation(values)[1] if several else None,
        interval=t_interval(values, confidence) if several else None,
    )


def _mean_and_deviation(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean and sample deviation (n - 1). Of the few values of a study, plain sums are ten times as fast as arrays."""
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _all_equal(values: Sequence[float] | np.ndarray) -> bool:
    return max(values) == min(values)


def t_interval(values: Sequence[float] | np.ndarray, confidence: float = CONFIDENCE) -> Interval:
    """Student's t interval of the mean.

    Args:
        values: at least two.
        confidence: the share of such intervals that hold the true mean.

    Raises:
        ValueError: fewer than two values.
    """
    if len(values) < 2:
        raise ValueError("an interval needs two values")
    if _all_equal(values):
        return Interval(float(values[0]), float(values[0]), confidence)
    mean, deviation = _mean_and_deviation(values)
    half = t_quantile((1 + confidence) / 2, len(values) - 1) * deviation / math.sqrt(len(values))
    return Interval(mean - half, mean + half, confidence)


def t_quantile(probability: float, degrees: int) -> float:
    """The value below which a variable of Student's distribution lies with a probability."""
    from scipy import special  # scipy.stats has the same, but takes five times as long to load and far longer to call

    return float(special.stdtrit(degrees, probability))


def _t_below(value: float, degrees: int) -> float:
    """The probability that a variable of Student's distribution lies below a value."""
    from scipy import special

    return float(special.stdtr(degrees, value))


def bootstrap_interval(values: Sequence[float], confidence: float = CONFIDENCE, seed: int = 0) -> Interval | None:
    """The bias-corrected and accelerated bootstrap interval of the mean (Efron 1987); None below ten values.

    The draws are seeded, so that the same values give the same interval.
    """
    from scipy import stats  # a second to load: only where it is used

    array = np.asarray(values, dtype=float)
    if len(array) < BOOTSTRAP_FROM:
        return None
    if np.ptp(array) == 0:
        return Interval(float(array[0]), float(array[0]), confidence)
    found = stats.bootstrap(
        (array,), np.mean, confidence_level=confidence, n_resamples=9999, method="BCa", rng=np.random.default_rng(seed)
    ).confidence_interval
    return Interval(float(found.low), float(found.high), confidence)


def t_test(differences: Sequence[float], against: float = 0.0) -> float:
    """The two-sided p of a paired t test: could these differences have this mean?

    Equal differences (no spread at all) give 0, or 1 where they are all `against`.
    """
    if _all_equal(differences):
        return 1.0 if differences[0] == against else 0.0
    mean, deviation = _mean_and_deviation(differences)
    return 2 * _t_below(-abs(mean - against) / deviation * math.sqrt(len(differences)), len(differences) - 1)


def sign_flip_test(differences: Sequence[float], seed: int = 0) -> SignFlip:
    """The two-sided sign-flip (paired permutation) test of Fisher 1935: all 2^n ways to flip signs, up to 20 values.

    Beyond 20 values 20,000 random flips stand in, the observed one counted among them (Phipson and Smyth 2010).
    """
    array = np.asarray(differences, dtype=float)
    count = len(array)
    observed = abs(array.sum())
    slack = 1e-12 * float(np.abs(array).sum())  # sums of the same numbers in another order differ in the last bit
    smallest = min(1.0, 2.0 ** (1 - count))
    if count <= _EXACT_FLIPS:
        # By symmetry the first sign can stay: both halves of all flips have the same sums but for the sign.
        hits = total = 0
        for signs in _sign_blocks(count - 1):
            sums = np.abs(array[0] + signs @ array[1:])
            hits += int((sums >= observed - slack).sum())
            total += len(sums)
        return SignFlip(hits / total, smallest, exact=True)
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(_DRAWS, count))
    hits = int((np.abs(signs @ array) >= observed - slack).sum())
    return SignFlip((hits + 1) / (_DRAWS + 1), smallest, exact=False)


@functools.cache
def _sign_rows(count: int) -> np.ndarray:
    """All rows of so few signs."""
    return np.array(list(itertools.product((1.0, -1.0), repeat=count))).reshape(2**count, count)


def _sign_blocks(count: int) -> list[np.ndarray]:
    """All rows of `count` signs, in blocks that fit in memory."""
    inner = min(count, 12)
    rows = _sign_rows(inner)
    blocks = []
    for outer in itertools.product((1.0, -1.0), repeat=count - inner):
        head = np.tile(np.asarray(outer), (len(rows), 1)).reshape(len(rows), count - inner)
        blocks.append(np.hstack([head, rows]))
    return blocks


def equivalence_p(differences: Sequence[float], margin: float) -> float:
    """The p of two one-sided t tests (Schuirmann 1987): is the mean within plus or minus the margin?"""
    if margin <= 0:
        return 1.0
    if _all_equal(differences):
        return 0.0 if abs(differences[0]) < margin else 1.0
    mean, deviation = _mean_and_deviation(differences)
    error, degrees = deviation / math.sqrt(len(differences)), len(differences) - 1
    above = _t_below(-(mean + margin) / error, degrees)
    below = _t_below((mean - margin) / error, degrees)
    return max(above, below)


def effect_size(differences: Sequence[float]) -> float | None:
    """The paired standardised effect (mean over deviation) with Hedges' correction for few values (Hedges 1981).

    None below three values, and where there is no spread to measure by.
    """
    if len(differences) < 3 or _all_equal(differences):
        return None
    half = (len(differences) - 1) / 2
    correction = math.exp(math.lgamma(half) - math.lgamma(half - 0.5)) / math.sqrt(half)
    mean, deviation = _mean_and_deviation(differences)
    return correction * mean / deviation


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979), in the order given: below alpha means significant among them all."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def t_power(shift: float, deviation: float, count: int, alpha: float = 1 - CONFIDENCE) -> float:
    """The chance that a two-sided t test of `count` values finds a mean this far from the tested one, on its side."""
    if deviation == 0:
        return 1.0 if shift else 0.0
    degrees = count - 1
    bound = t_quantile(1 - alpha / 2, degrees)
    return 1 - _noncentral_below(bound, degrees, abs(shift) / deviation * math.sqrt(count))


def _noncentral_below(value: float, degrees: int, centre: float) -> float:
    """The same as `_t_below` of the noncentral t distribution."""
    from scipy import stats

    found = float(stats.nct.cdf(value, degrees, centre))
    if math.isfinite(found):
        return found
    # scipy has no number for some centres far out. Abramowitz and Stegun 26.7.10 is good to all that counts there.
    spread = math.sqrt(1 + value**2 / (2 * degrees))
    return float(stats.norm.cdf((value * (1 - 1 / (4 * degrees)) - centre) / spread))


def equivalence_power(mean: float, deviation: float, margin: float, count: int, alpha: float = 1 - CONFIDENCE) -> float:
    """The chance that two one-sided t tests of `count` values show a mean within the margin (a lower bound of it)."""
    if margin <= 0:
        return 0.0
    if deviation == 0:
        return float(abs(mean) < margin)
    degrees = count - 1
    bound = t_quantile(1 - alpha, degrees)
    above = _noncentral_below(-bound, degrees, (mean - margin) / deviation * math.sqrt(count))
    below = 1 - _noncentral_below(bound, degrees, (mean + margin) / deviation * math.sqrt(count))
    return max(0.0, above + below - 1)


def seeds_needed(differences: Sequence[float], margin: float, alpha: float = 1 - CONFIDENCE) -> int | None:
    """How many seeds in all would settle the question with a chance of 80 %, were mean and deviation as seen so far.

    Settled means: the interval lies beyond the margin, on either side, or equivalence within it is shown. None where
    even 1,000 would not do. A guess from few values is rough: say "about".
    """
    if len(differences) < 2:
        return None
    mean, deviation = _mean_and_deviation(differences)

    def settles(count: int) -> bool:
        found = max(
            t_power(mean - margin, deviation, count, alpha), equivalence_power(mean, deviation, margin, count, alpha)
        )
        return found >= POWER

    low, high = max(3, len(differences)), _MOST_SEEDS
    if not settles(high):
        return None
    while low < high:  # power grows with the count
        middle = (low + high) // 2
        low, high = (low, middle) if settles(middle) else (middle + 1, high)
    return low
