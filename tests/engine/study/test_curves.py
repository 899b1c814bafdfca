"""Curves as arrays: bands over seeds, smoothing, and when a target was reached."""

from __future__ import annotations

import numpy as np
import pytest

from engine.study.curves import Points, band, first_reaching, smooth


def test_runs_of_unequal_speed_are_matched_by_step_along_seconds() -> None:
    steps = np.asarray([1.0, 2.0, 3.0])
    quick, slow = Points(steps * 10, steps, steps), Points(steps * 1000, steps + 2, steps)
    found = band([quick, slow], "range")
    assert found is not None
    assert found.x.tolist() == [505, 1010, 1515]
    assert (found.mean.tolist(), found.lower.tolist(), found.upper.tolist()) == ([2, 3, 4], [1, 2, 3], [3, 4, 5])


def test_smoothing_is_the_corrected_mean_and_passes_over_nan() -> None:
    found = smooth(np.asarray([np.nan, 1.0, np.nan, 3.0]), 0.5)
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx([1.0, 1.0, (0.25 * 1 + 0.5 * 3) / 0.75])


def test_a_target_is_reached_from_above_or_from_below() -> None:
    points = Points(np.asarray([1.0, 2.0]), np.asarray([0.5, 0.2]))
    assert first_reaching(points, 0.2, "min") == 2
    assert first_reaching(points, 0.9, "max") is None
