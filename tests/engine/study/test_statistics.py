"""The statistics against published and hand-worked cases."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from engine.study import statistics

SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
"""Student 1908: hours of sleep gained, ten patients."""
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
"""Darwin's crossed and self-fertilised maize, differences in eighths of an inch (Fisher 1935, section 17)."""


def test_the_t_interval_and_test_of_students_sleep_data() -> None:
    found = statistics.t_interval(SLEEP)
    assert (found.lower, found.upper) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)
    assert statistics.t_test(SLEEP) == pytest.approx(0.002833, abs=1e-6)


def test_a_test_against_a_margin_is_the_test_of_shifted_values() -> None:
    assert statistics.t_test(SLEEP, 0.5) == pytest.approx(statistics.t_test([value - 0.5 for value in SLEEP]))


def test_the_sign_flip_test_is_fishers_on_darwins_maize() -> None:
    found = statistics.sign_flip_test(MAIZE)
    assert found.p == 2 * 863 / 32768
    assert found.exact


@pytest.mark.parametrize(("count", "smallest"), [(1, 1.0), (2, 0.5), (3, 0.25), (5, 0.0625), (10, 2 / 1024)])
def test_the_smallest_reachable_p_is_said_and_reached(count: int, smallest: float) -> None:
    found = statistics.sign_flip_test([1.0 + index for index in range(count)])
    assert found.p == found.smallest == smallest


def test_differences_of_zero_count_in_every_flip() -> None:
    assert statistics.sign_flip_test([0.0, 0.0, 0.0]).p == 1.0
    assert statistics.sign_flip_test([0.1, 0.2, -0.3]).p == 1.0  # sums to zero but for rounding


def test_many_values_are_flipped_at_random_and_repeatably() -> None:
    values = np.random.default_rng(0).normal(0.5, 1, 25).tolist()
    found = statistics.sign_flip_test(values)
    assert not found.exact
    assert found == statistics.sign_flip_test(values)
    assert found.p == pytest.approx(statistics.t_test(values), abs=0.02)


def test_holms_adjustment_by_hand() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([]) == []
    assert statistics.holm([0.5, 0.9]) == [1.0, 1.0]


def test_equivalence_needs_the_whole_90_percent_interval_within_the_margin() -> None:
    interval = statistics.t_interval(SLEEP, 0.90)
    just_wide_enough = max(abs(interval.lower), abs(interval.upper))
    assert statistics.equivalence_p(SLEEP, just_wide_enough + 1e-9) < 0.05
    assert statistics.equivalence_p(SLEEP, just_wide_enough - 1e-9) > 0.05
    assert statistics.equivalence_p(SLEEP, 0.0) == 1.0


def test_the_effect_size_is_corrected_for_few_values() -> None:
    plain = np.mean(SLEEP) / np.std(SLEEP, ddof=1)
    assert statistics.effect_size(SLEEP) == pytest.approx(plain * (1 - 3 / (4 * 9 - 1)), rel=1e-3)
    assert statistics.effect_size([1.0, 2.0]) is None
    assert statistics.effect_size([1.0, 1.0, 1.0]) is None


def test_34_pairs_find_half_a_deviation_with_a_power_of_80_percent() -> None:
    """The textbook case (Cohen 1988; G*Power gives 34)."""
    assert statistics.t_power(0.5, 1.0, 33) < 0.8 <= statistics.t_power(0.5, 1.0, 34)
    values = np.array([-1.0, 1.0, -1.0, 1.0])
    values = values / values.std(ddof=1) + 0.5
    assert statistics.seeds_needed(values.tolist(), margin=0.0) == 34


def test_no_number_of_seeds_settles_a_difference_that_is_the_margin() -> None:
    assert statistics.seeds_needed([0.9, 1.0, 1.1], margin=1.0) is None


def test_power_is_a_number_wherever_the_effect_is_large() -> None:
    """Accuracies of a real study: scipy's noncentral t gave NaN for 125 seeds, and 128 were said to be needed."""
    differences = [-0.015025041736227096, -0.025041736227045086, -0.026711185308848084]
    powers = [statistics.t_power(-0.0222, 0.0063, count) for count in range(3, 1001)]
    assert all(earlier <= later + 1e-12 for earlier, later in pairwise(powers))
    assert statistics.seeds_needed(differences, 0.0) == 3
    assert statistics.seeds_needed(differences, 0.0, 0.05 / 3) == 4, "one of three comparisons takes more"


def test_a_small_difference_is_settled_by_equivalence() -> None:
    values = [-1.0, 1.0, -1.0, 1.0]
    needed = statistics.seeds_needed(values, margin=1.0)
    assert needed is not None
    assert statistics.equivalence_power(0.0, float(np.std(values, ddof=1)), 1.0, needed) >= 0.8


def test_values_without_spread_have_an_interval_of_one_point() -> None:
    found = statistics.t_interval([0.5, 0.5, 0.5])
    assert (found.lower, found.upper) == (0.5, 0.5)
    assert statistics.t_test([0.5, 0.5, 0.5]) == 0.0
    assert statistics.t_test([0.0, 0.0, 0.0]) == 1.0


def test_the_bootstrap_waits_for_ten_values_and_is_repeatable() -> None:
    assert statistics.bootstrap_interval(SLEEP[:9]) is None
    found = statistics.bootstrap_interval(SLEEP)
    assert found == statistics.bootstrap_interval(SLEEP)
    assert found is not None
    mean = float(np.mean(SLEEP))
    assert found.lower < mean < found.upper
    assert found.upper - mean > mean - found.lower  # one patient gained 4.6 hours: the interval leans that way


def test_one_value_has_a_mean_and_nothing_more() -> None:
    found = statistics.describe([0.25])
    assert (found.mean, found.deviation, found.interval) == (0.25, None, None)
    assert math.isnan(statistics.describe([]).mean)
    with pytest.raises(ValueError, match="two values"):
        statistics.t_interval([0.25])
